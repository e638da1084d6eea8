import { once } from 'node:events';
import type { Server } from 'node:http';

import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { Controller, Get } from '@nestjs/common';
import {
  CommitUnknownError,
  InjectSession,
  JobService,
  SessionClosedError,
  SessionFactory,
} from 'nestjs-mikro-session';

import { holdPool } from '../support/hold-together.js';
import { type CaughtPool, catchPool } from '../support/catch-pool.js';
import { NetworkProxy } from '../support/network-proxy.js';
import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const POOL_SIZE = 2;
const TIMEOUT_MS = 200;
/** What an outcome may take after its time, on a machine that does much else. */
const GRACE_MS = 2_000;
/** What the end of an application may take. */
const CLOSE_MS = 5_000;

type Work = (session: EntityManager, network: NetworkProxy) => Promise<unknown>;

@Controller()
class SlowController {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @Get('slow')
  slow(): Promise<unknown> {
    return this.session.execute('select pg_sleep(0)');
  }
}

/** An application on a network of its own, so that others can work while this one waits. */
class Site {
  private constructor(
    readonly database: TestDatabase,
    readonly network: NetworkProxy,
    readonly app: TestApp,
    private readonly pool: CaughtPool['pool'],
  ) {}

  static async start(): Promise<Site> {
    const database = await createTestDatabase();
    const network = await NetworkProxy.start(database.url);
    const { options, pool } = catchPool();
    const app = await startTestApp({
      databaseUrl: network.url,
      orm: { pool: { min: 0, max: POOL_SIZE }, ...options },
      controllers: [SlowController],
    });
    return new Site(database, network, app, pool);
  }

  get jobs(): JobService<EntityManager> {
    return this.app.get<JobService<EntityManager>>(JobService);
  }

  get factory(): SessionFactory<EntityManager> {
    return this.app.get<SessionFactory<EntityManager>>(SessionFactory);
  }

  async countWaiting(): Promise<number> {
    const { waitingCount } = await this.pool;
    return waitingCount;
  }

  async servesAll(): Promise<void> {
    await this.network.heal();
    await holdPool(this.factory, POOL_SIZE);
  }

  /** Closes the application. Gives the milliseconds that it took. */
  async close(): Promise<number> {
    const started = Date.now();
    await this.app.close();
    return Date.now() - started;
  }

  /** @throws {Error} when the application does not close in time, or leaves a connection open */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.network.heal();
    const took = await this.close();
    await this.network.close();
    await this.database.drop();
    if (took >= CLOSE_MS) {
      throw new Error(`The application took ${took} ms to close`);
    }
  }
}

const sleep = (session: EntityManager): Promise<unknown> => session.execute('select pg_sleep(0)');

const swallowAt = (network: NetworkProxy, text: RegExp): void =>
  void network.once('statement', text, () => network.swallow());

describe('a network that swallows everything', () => {
  const states: Record<string, { readonly die: (network: NetworkProxy) => unknown; readonly work: Work }> = {
    'an idle connection': { die: (network) => network.swallow(), work: (session) => session.count(Note) },
    BEGIN: { die: (network) => swallowAt(network, /^begin/), work: (session) => session.count(Note) },
    'a statement': {
      die: (network) => swallowAt(network, /pg_sleep/),
      work: (session) => session.execute('select pg_sleep(0)'),
    },
    'a flush': {
      die: (network) => swallowAt(network, /\binsert/),
      work: async (session) => {
        session.create(Note, { text: 'lost' });
        await session.flush();
      },
    },
    COMMIT: {
      die: (network) => swallowAt(network, /^commit/),
      work: (session) => session.insert(Note, { text: 'lost' }),
    },
    ROLLBACK: {
      die: (network) => swallowAt(network, /^rollback/),
      work: async (session) => {
        await session.count(Note);
        throw new Error('on purpose');
      },
    },
    'a stream': {
      die: () => undefined,
      work: async (session, network) => {
        for await (const _row of session.stream(Note)) {
          network.swallow();
        }
      },
    },
    'a half-read stream': {
      die: () => undefined,
      work: async (session, network) => {
        await session.stream(Note)[Symbol.asyncIterator]().next();
        network.swallow();
        throw new Error('on purpose');
      },
    },
  };

  it.each(['timeout', 'signal'] as const)('and a %s give an outcome in time, at whatever statement', async (limit) => {
    const outcomes = Object.entries(states).map(async ([at, { die, work }]) => {
      await using site = await Site.start();
      const { database, network, jobs } = site;
      await database.query(`insert into note (text) select 'row' from generate_series(1, 300)`);
      await jobs.map([0, 1], (session) => session.count(Note));
      die(network);
      const started = Date.now();

      const options = limit === 'timeout' ? { timeout: TIMEOUT_MS } : { signal: AbortSignal.timeout(TIMEOUT_MS) };
      const [outcome] = await jobs.settle([1], (session) => work(session, network), options);

      const isInTime = Date.now() - started < TIMEOUT_MS + GRACE_MS;
      await site.servesAll();
      return { at, status: outcome?.status, isInTime };
    });

    expect(await Promise.all(outcomes)).toEqual(
      Object.keys(states).map((at) => ({ at, status: 'rejected', isInTime: true })),
    );
  });

  it('makes a commit unknown at the time-out', async () => {
    await using site = await Site.start();
    const { network, jobs } = site;
    swallowAt(network, /^commit/);

    const outcomes = await jobs.settle([1], (session) => session.insert(Note, { text: 'lost' }), {
      timeout: TIMEOUT_MS,
    });

    expect(outcomes).toMatchObject([{ status: 'rejected', reason: expect.any(CommitUnknownError) }]);
  });

  it('lets a commit that is late, but answered, be fulfilled', async () => {
    await using site = await Site.start();
    const { network, jobs } = site;
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    void network.once(
      'answer',
      /^commit/,
      () => new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve())),
    );

    const outcomes = await jobs.settle([1], (session) => session.insert(Note, { text: 'late' }), { signal });

    expect(outcomes).toMatchObject([{ status: 'fulfilled' }]);
  });

  it('gives up the wait of a job whose time is up, which leaves the queue of the pool', async () => {
    await using site = await Site.start();
    const { network, jobs, factory } = site;
    const isOver = Promise.withResolvers<void>();
    const allHold = Promise.withResolvers<void>();
    let holders = 0;
    const holding = Promise.all(
      Array.from({ length: POOL_SIZE }, () =>
        factory.begin(async (session) => {
          await session.execute('select 1');
          holders += 1;
          if (holders === POOL_SIZE) {
            allHold.resolve();
          }
          await isOver.promise;
        }),
      ),
    );
    await allHold.promise;

    const outcomes = await jobs.settle([1, 2, 3], (session) => session.count(Note), { timeout: 30, concurrency: 3 });
    let begun = 0;
    const stop = network.each('statement', /^begin/, () => (begun += 1));
    isOver.resolve();
    await holding;
    stop();

    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    // Nothing was begun for nobody.
    expect(begun).toBe(0);
    expect(await site.countWaiting()).toBe(0);
    await site.servesAll();
  });

  it('ends the wait of a scope that has ended', async () => {
    await using site = await Site.start();
    const { factory } = site;
    const isOver = Promise.withResolvers<void>();
    const held = Array.from({ length: POOL_SIZE }, () => Promise.withResolvers<void>());
    const holding = held.map(({ resolve }) =>
      factory.begin(async (session) => {
        await session.execute('select 1');
        resolve();
        await isOver.promise;
      }),
    );
    await Promise.all(held.map(({ promise }) => promise));
    let waiting: Promise<unknown> = Promise.resolve();
    await factory.run((session) => {
      waiting = session.count(Note);
      waiting.catch(() => undefined);
    });

    await expect(waiting).rejects.toThrow(SessionClosedError);
    isOver.resolve();
    await Promise.all(holding);
  });

  it('lets a begin() whose signal aborts end', async () => {
    await using site = await Site.start();
    const { network, factory } = site;
    swallowAt(network, /pg_sleep/);
    const started = Date.now();

    const work = factory.begin(sleep, {
      fork: { signal: AbortSignal.timeout(TIMEOUT_MS), inflightQueryAbortStrategy: 'cancel query' },
    });

    await expect(work).rejects.toThrow(/abort|time/i);
    expect(Date.now() - started).toBeLessThan(TIMEOUT_MS + GRACE_MS);
    await site.servesAll();
  });

  const untilDead = async ({ network }: Site, start: () => Promise<unknown>): Promise<Promise<unknown>[]> => {
    const isDead = network.once('statement', /pg_sleep/, () => network.swallow());
    const work = start();
    work.catch(() => undefined);
    await isDead;
    return [work];
  };

  const waits: Record<string, (site: Site) => Promise<Promise<unknown>[]>> = {
    'a job': (site) => untilDead(site, () => site.jobs.map([1], sleep)),
    'a block': (site) => untilDead(site, () => site.factory.begin(sleep)),
    'a request': (site) => untilDead(site, () => fetch(`${site.app.url}/slow`, { headers: { connection: 'close' } })),
    'a connection that never opens': async ({ app, network, factory }) => {
      network.swallow();
      await (app.orm as MikroORM).close(true);
      return [1, 2, 3].map(() => factory.run((session) => session.transactional((one) => one.count(Note))));
    },
    'a request whose connection never opens': async ({ app, network }) => {
      network.swallow();
      await (app.orm as MikroORM).close(true);
      const isThere = once(app.app.getHttpServer() as Server, 'request');
      const answer = fetch(`${app.url}/slow`, { headers: { connection: 'close' } });
      answer.catch(() => undefined);
      await isThere;
      return [answer];
    },
    'a first connection': async ({ app, factory }) => {
      await (app.orm as MikroORM).close(true);
      return [
        factory.run((session) =>
          Promise.allSettled([1, 2, 3].map(() => session.fork().transactional((one) => one.count(Note)))),
        ),
      ];
    },
  };

  it('lets the application close, whatever waits for an answer without a time-out', async () => {
    const closed = Object.entries(waits).map(async ([name, wait]) => {
      await using site = await Site.start();
      const work = Promise.allSettled(await wait(site));

      const isInTime = (await site.close()) < CLOSE_MS;

      return { name, isInTime, ends: (await work).map(({ status }) => status) };
    });

    const ends = await Promise.all(closed);
    expect(ends).toMatchObject(Object.keys(waits).map((name) => ({ name, isInTime: true })));
    expect(ends).toContainEqual(
      expect.objectContaining({ name: 'a connection that never opens', ends: ['rejected', 'rejected', 'rejected'] }),
    );
  });
});
