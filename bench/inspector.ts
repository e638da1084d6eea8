import type { IncomingMessage } from 'node:http';
import { get } from 'node:http';

import { MikroOrmModule } from '@mikro-orm/nestjs';
import type { EntityManager } from '@mikro-orm/postgresql';
import { type DynamicModule, type INestApplication, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { JobService, SessionModule } from 'nestjs-mikro-session';
import { SessionInspectorModule } from 'nestjs-mikro-session/inspector';

import { emptyTable, Item, options, POOL_SIZE } from './applications.ts';
import type { Side } from './claim.ts';
import type { Pair } from './pair.ts';

class Root {}
Reflect.decorate([Module({})], Root);

/** An application with a server, where somebody could look at the jobs. */
async function startServer(databaseUrl: string, imports: readonly DynamicModule[]): Promise<INestApplication> {
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

interface InsertOptions {
  readonly jobs: number;
  close?(): void;
}

function insertWith(app: INestApplication, { jobs: count, close }: InsertOptions): Side {
  const jobs = app.get<JobService<EntityManager>>(JobService);
  return {
    round: async () => void (await jobs.map(Array(count).keys(), insert, { concurrency: POOL_SIZE })),
    close: async () => {
      close?.();
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

/** What it costs that the inspector is there, and nobody looks. */
export const inspectorIdlePair: Pair = {
  title: 'jobs that insert a row and commit, with the inspector, at which nobody looks',
  atMost: 1.03,
  rounds: 300,
  async start(databaseUrl) {
    await emptyTable(databaseUrl);
    const jobs = 200;
    return [
      insertWith(await startServer(databaseUrl, [SessionInspectorModule.forRoot()]), { jobs }),
      insertWith(await startServer(databaseUrl, []), { jobs }),
      insertWith(await startServer(databaseUrl, []), { jobs }),
    ];
  },
};

/** What it costs that one page is open. The rest lets it get the last of each round. */
export const inspectorWatchedPair: Pair = {
  title: 'the same, at which one looks',
  atMost: 1.1,
  rounds: 60,
  rest: 150,
  async start(databaseUrl) {
    await emptyTable(databaseUrl);
    const jobs = 2_000;
    const watched = await startServer(databaseUrl, [SessionInspectorModule.forRoot()]);
    return [
      insertWith(watched, { jobs, close: await watch(watched) }),
      insertWith(await startServer(databaseUrl, []), { jobs }),
      insertWith(await startServer(databaseUrl, []), { jobs }),
    ];
  },
};
