import type { IncomingMessage } from 'node:http';
import { get } from 'node:http';

import { MikroOrmModule } from '@mikro-orm/nestjs';
import type { EntityManager } from '@mikro-orm/postgresql';
import { type DynamicModule, type INestApplication, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { JobService, SessionModule } from 'nestjs-mikro-session';
import { SessionInspectorModule } from 'nestjs-mikro-session/inspector';

import { emptyTable, Item, options, POOL_SIZE } from './applications.ts';
import type { Claim, Side } from './claim.ts';
import { JOBS } from './in-jobs.ts';

class Root {}
Reflect.decorate([Module({})], Root);

/** An application with a server, where somebody could look at the jobs. */
async function startServer(databaseUrl: string, imports: readonly DynamicModule[]): Promise<INestApplication> {
  await emptyTable(databaseUrl);
  const root: DynamicModule = {
    module: Root,
    imports: [MikroOrmModule.forRoot(options(databaseUrl)), SessionModule.forRoot(), ...imports],
  };
  const app = await NestFactory.create(root, { logger: false });
  await app.listen(0, '127.0.0.1');
  return app;
}

function insert(session: EntityManager, value: number): void {
  session.create(Item, { value });
}

async function insertWith(app: INestApplication, close: () => void = () => undefined): Promise<Side> {
  const jobs = app.get<JobService<EntityManager>>(JobService);
  return {
    round: async () => void (await jobs.map([...Array(JOBS).keys()], insert, { concurrency: POOL_SIZE })),
    close: async () => {
      close();
      await app.close();
    },
  };
}

/** Reads the events of the inspector as a page does, in this process: what it costs to read counts as well. */
async function watch(app: INestApplication): Promise<() => void> {
  const url = `${await app.getUrl()}/sessions/events`;
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = get(url, resolve).on('error', reject);
  const response = await promise;
  response.resume();
  return () => request.destroy();
}

const ROUNDS = 31;

/** What it costs that the inspector is there, and nobody looks. */
export const inspectorIdleClaim: Claim = {
  title: `${JOBS} jobs that insert a row and commit, with the inspector, at which nobody looks`,
  peer: 'the same without the inspector',
  atMost: 1.03,
  rounds: ROUNDS,
  ours: async (databaseUrl) => insertWith(await startServer(databaseUrl, [SessionInspectorModule.forRoot()])),
  theirs: async (databaseUrl) => insertWith(await startServer(databaseUrl, [])),
};

/** What it costs that one page is open. */
export const inspectorWatchedClaim: Claim = {
  title: `${JOBS} jobs that insert a row and commit, with the inspector, at which one looks`,
  peer: 'the same without the inspector',
  atMost: 1.1,
  rounds: ROUNDS,
  async ours(databaseUrl) {
    const app = await startServer(databaseUrl, [SessionInspectorModule.forRoot()]);
    return insertWith(app, await watch(app));
  },
  theirs: async (databaseUrl) => insertWith(await startServer(databaseUrl, [])),
};
