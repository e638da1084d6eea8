import 'reflect-metadata';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { type EntityManager, PostgreSqlDriver } from '@mikro-orm/postgresql';
import { type DynamicModule, type INestApplication, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  JobService,
  SessionFactory,
  SessionModule,
  type SessionModuleOptions,
  SessionOwnershipError,
} from 'nestjs-mikro-session';

import { expectEqual } from './expect-equal.js';
import { Note, NoteSchema } from './note.js';
import { NotesController } from './notes.controller.js';
import { SquareWorker } from './square.worker.js';

type Injection = 'request' | 'contextual';

/** What an application has beside HTTP and jobs, where its packages are there. */
export interface Extra {
  readonly name: string;
  /** Makes the modules of one application. */
  modules(injection: Injection): (DynamicModule | Promise<DynamicModule>)[];
  /** What it needs of the options of the module. */
  readonly session?: SessionModuleOptions;
  /** Sets up what must be there before the application is started. */
  prepare?(app: INestApplication): Promise<void>;
  check(app: INestApplication, url: string): Promise<void>;
}

@Module({})
class AppModule {}

/** Uses all that an application uses, with each way of injection, and fails where the answer is another one. */
export async function smoke(extras: readonly Extra[]): Promise<void> {
  for (const injection of ['request', 'contextual'] as const) {
    const app = await NestFactory.create(createModule(injection, extras), { logger: ['error', 'warn'] });
    for (const extra of extras) {
      await extra.prepare?.(app);
    }
    await app.listen(0, '127.0.0.1');
    const url = await app.getUrl();
    try {
      await checkHttp(url);
      await checkJobs(app);
      await checkRules(app);
      for (const extra of extras) {
        await extra.check(app, url);
        process.stdout.write(`  ${injection}: ${extra.name}\n`);
      }
      expectEqual(await app.get(SessionFactory).run((session) => session.isInTransaction()), false);
    } finally {
      await app.close();
    }
    process.stdout.write(`${injection}: passed\n`);
  }
}

function createModule(injection: Injection, extras: readonly Extra[]): DynamicModule {
  return {
    module: AppModule,
    imports: [
      MikroOrmModule.forRoot({
        driver: PostgreSqlDriver,
        clientUrl: process.env['DATABASE_URL'] ?? '',
        entities: [NoteSchema],
        pool: { min: 0, max: 5 },
      }),
      MikroOrmModule.forFeature([NoteSchema]),
      SessionModule.forRoot({
        injection,
        unflushed: 'error',
        ...Object.assign({}, ...extras.map(({ session }) => session)),
      }),
      ...extras.flatMap((extra) => extra.modules(injection)),
    ],
    controllers: [NotesController],
    providers: [SquareWorker],
  };
}

async function checkHttp(url: string): Promise<void> {
  const call = async (path: string): Promise<unknown> => {
    const response = await fetch(`${url}/notes/${path}`);
    return response.json();
  };
  expectEqual(await call('clear'), { count: 0 });
  expectEqual(await call('write?text=kept'), { texts: ['kept', 'kept too'], isOne: true });
  expectEqual(await call('roll-back?text=lost'), { failure: 'Error: on purpose' });
  expectEqual(await call('texts'), ['kept', 'kept too']);
}

async function checkJobs(app: INestApplication): Promise<void> {
  const jobs = app.get<JobService<EntityManager>>(JobService);
  const squares = await jobs.map([1, 2, 3], SquareWorker, { concurrency: 2 });
  expectEqual(
    squares.map(({ square }) => square),
    [1, 4, 9],
  );
  expectEqual(new Set(squares.map(({ session }) => session)).size, 3);

  const outcomes = await jobs.settle([1, 2, 3], async (session, input) => {
    session.create(Note, { text: `job ${input}` });
    await session.flush();
    if (input === 2) {
      throw new RangeError('on purpose');
    }
    return input;
  });
  expectEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  const written = await app
    .get<SessionFactory<EntityManager>>(SessionFactory)
    .run((session) => session.find(Note, { text: { $like: 'job %' } }, { orderBy: { text: 'asc' } }));
  expectEqual(
    written.map(({ text }) => text),
    ['job 1', 'job 3'],
  );
}

async function checkRules(app: INestApplication): Promise<void> {
  const sessions = app.get<SessionFactory<EntityManager>>(SessionFactory);
  const jobs = app.get<JobService<EntityManager>>(JobService);
  await sessions.run(async (session) => {
    const [outcome] = await jobs.settle([1], () => session.count(Note));
    expectEqual(outcome?.status === 'rejected' && outcome.reason instanceof SessionOwnershipError, true);
  });
}
