import { MikroORM } from '@mikro-orm/core';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { type MikroORM as PostgresORM, type Options, PostgreSqlDriver } from '@mikro-orm/postgresql';
import type { AbstractHttpAdapter } from '@nestjs/core';
import type { INestApplication, InjectionToken, ModuleMetadata, Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { SessionModule, type SessionModuleExtras, type SessionModuleOptions } from 'nestjs-mikro-session';

import { loadDriver, placeOf } from './load-driver.js';
import { Note } from './note.entity.js';

export type Platform = 'express' | 'fastify';

export const platforms: readonly Platform[] = ['express', 'fastify'];
export const injections = ['request', 'contextual'] as const;

/** MikroORM of any list of entities. */
type AnyOrm = Pick<PostgresORM, 'em' | 'schema' | 'config'>;

export interface TestAppOptions extends ModuleMetadata {
  readonly databaseUrl: string;
  readonly platform?: Platform;
  /** An adapter made with options of its own. @default that of the platform */
  readonly adapter?: AbstractHttpAdapter;
  readonly session?: SessionModuleOptions & SessionModuleExtras;
  readonly orm?: Partial<Options>;
  /** What `main.ts` would do with the application before it listens. */
  readonly configure?: (app: INestApplication) => void;
}

export interface TestApp {
  readonly app: INestApplication;
  readonly orm: AnyOrm;
  readonly url: string;
  get<Instance>(token: InjectionToken): Instance;
  close(): Promise<void>;
}

/** The tables that were made last in each database: to compare them with what is there takes longer than most tests do. */
const madeTables = new Map<string, string>();

/** The MikroORM options of all tests: the table of notes, a small pool, no output. */
export function ormOptions(databaseUrl: string, options: Partial<Options> = {}): Options {
  return {
    driver: PostgreSqlDriver,
    ...placeOf(databaseUrl),
    entities: [Note],
    pool: { min: 0, max: 5 },
    logger: () => undefined,
    ...options,
  };
}

/** Starts an application that listens on a free port of 127.0.0.1, with the table of notes made and empty. */
export async function startTestApp(options: TestAppOptions): Promise<TestApp> {
  const {
    databaseUrl,
    platform = 'express',
    adapter: given,
    session,
    orm: ormExtras,
    configure,
    ...metadata
  } = options;
  const { driver, isEmpty } = await loadDriver(databaseUrl);
  const module = await Test.createTestingModule({
    ...metadata,
    imports: [
      MikroOrmModule.forRoot(ormOptions(databaseUrl, { driver, ...ormExtras })),
      SessionModule.forRoot(session),
      ...(metadata.imports ?? []),
    ],
  }).compile();
  const adapter = given ?? (await createAdapter(platform));
  const app = module.createNestApplication(adapter, { logger: ['error', 'warn'] });
  configure?.(app);
  try {
    await app.listen(0, '127.0.0.1');
  } catch (error) {
    await app.close();
    throw error;
  }
  const orm = app.get<AnyOrm>(MikroORM);
  const tables = await orm.schema.getCreateSchemaSQL();
  if (tables !== madeTables.get(databaseUrl)) {
    await ((await orm.em.fork().execute(isEmpty)).length === 0 ? orm.schema.create() : orm.schema.update());
    madeTables.set(databaseUrl, tables);
  }
  await orm.em.fork().nativeDelete(Note, {}, { filters: false });
  return {
    app,
    orm,
    url: await app.getUrl(),
    get: (token) => app.get(token as Type, { strict: false }),
    close: () => app.close(),
  };
}

/** Loads what is used alone: each test file loads its modules anew. */
async function createAdapter(platform: Platform): Promise<AbstractHttpAdapter> {
  if (platform === 'express') {
    const { ExpressAdapter } = await import('@nestjs/platform-express');
    return new ExpressAdapter();
  }
  const { FastifyAdapter } = await import('@nestjs/platform-fastify');
  return new FastifyAdapter();
}
