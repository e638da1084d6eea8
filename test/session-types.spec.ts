import { findTypeErrors } from './support/type-errors.js';

const IMPORTS = `
import type { EntityManager as CoreEntityManager } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { INestApplicationContext } from '@nestjs/common';
import { InjectSession, JobService, SessionContext, SessionFactory, type SessionEntityManager } from 'nestjs-mikro-session';
import { SessionTesting } from 'nestjs-mikro-session/testing';
`;

const DECLARATION = `
declare module 'nestjs-mikro-session' {
  interface SessionTypes {
    entityManager: EntityManager;
  }
}
`;

const USES = `
export class Service {
  constructor(@InjectSession() readonly session: SessionEntityManager) {}
}
export async function use(factory: SessionFactory, jobs: JobService, context: SessionContext, app: INestApplicationContext) {
  await factory.begin((session) => expectSame(session));
  await factory.run((session) => expectSame(session));
  await jobs.map([1], (session) => expectSame(session));
  await jobs.settle([1], (session) => expectSame(session));
  expectSame(factory.create());
  expectSame(context.current);
  expectSame(new Service(context.current).session);
  await app.get<SessionFactory>(SessionFactory).begin((session) => expectSame(session));
  const testing = await SessionTesting.create(app);
  await testing.run((session) => expectSame(session));
}
`;

const SQL = `
function expectSame(session: EntityManager): void { void session.getKysely; }
export async function useAnother(factory: SessionFactory<CoreEntityManager>) {
  // @ts-expect-error a type argument says otherwise
  await factory.run((session) => session.getKysely());
}
`;

const CORE = `
function expectSame(session: CoreEntityManager): void { void session.find; }
export async function useSql(factory: SessionFactory, jobs: JobService, context: SessionContext<EntityManager>) {
  context.current.getKysely();
  // @ts-expect-error the driver is not known
  await factory.run((session) => session.getKysely());
  // @ts-expect-error the driver is not known
  await jobs.map([1], (session) => session.getKysely());
}
`;

describe('SessionTypes', () => {
  it("gives the methods of the user's driver without a type argument", () => {
    expect(findTypeErrors({ 'types-declared.ts': IMPORTS + DECLARATION + SQL + USES })).toEqual([]);
  }, 60_000);

  it("gives those of MikroORM's core as long as it says nothing", () => {
    expect(findTypeErrors({ 'types-core.ts': IMPORTS + CORE + USES })).toEqual([]);
  }, 60_000);
});
