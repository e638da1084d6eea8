import type { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get } from '@nestjs/common';
import { HealthCheck, type HealthCheckResult, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { SessionFactory, SessionHealthIndicator } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const POOL_SIZE = 2;

@Controller('health')
class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly sessions: SessionHealthIndicator,
  ) {}

  @Get()
  @HealthCheck()
  check(): Promise<HealthCheckResult> {
    return this.health.check([() => this.sessions.check('sessions', { timeout: 5_000 })]);
  }
}

describe('SessionHealthIndicator', () => {
  let database: TestDatabase;
  let app: TestApp;
  let indicator: SessionHealthIndicator;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      orm: { pool: { min: 0, max: POOL_SIZE } },
      imports: [TerminusModule.forRoot({ logger: false })],
      controllers: [HealthController],
    });
    indicator = app.get(SessionHealthIndicator);
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  /** Runs `work` while all connections of the pool are held. */
  async function whileFull<Result>(work: () => Promise<Result>): Promise<Result> {
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const over = Promise.withResolvers<void>();
    const holders = Array.from({ length: POOL_SIZE }, () => {
      const begun = Promise.withResolvers<void>();
      const done = factory.begin(async (session) => {
        await session.count(Note);
        begun.resolve();
        await over.promise;
      });
      return { begun: begun.promise, done };
    });
    await Promise.all(holders.map(({ begun }) => begun));
    try {
      return await work();
    } finally {
      over.resolve();
      await Promise.all(holders.map(({ done }) => done));
    }
  }

  it('tells @nestjs/terminus how busy the pools are', async () => {
    const response = await fetch(`${app.url}/health`);

    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      status: 'ok',
      details: {
        sessions: { status: 'up', pools: { default: { max: POOL_SIZE, inUse: 0, waiting: 0 } } },
      },
    });
  });

  it('is down when no connection becomes free in time, and waits no longer then', async () => {
    const [first, second] = await whileFull(async () => [
      await indicator.check('sessions', { timeout: 50 }),
      await indicator.check('sessions', { timeout: 50 }),
    ]);

    const pools = { default: { max: POOL_SIZE, size: POOL_SIZE, idle: 0, inUse: POOL_SIZE, waiting: 0 } };
    const message = 'The connection "default" got no answer within 50 ms.';
    expect(first).toEqual({ sessions: { status: 'down', message, pools } });
    expect(second).toEqual(first);
  });

  it('is down when more callers wait for a connection than they may', async () => {
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const waiters: Promise<number>[] = [];
    const [crowded, allowed] = await whileFull(async () => {
      waiters.push(...[1, 2].map(() => factory.run((session) => session.count(Note))));
      // By the end of a check, both wait.
      await indicator.check('sessions', { timeout: 50 });
      return [
        await indicator.check('sessions', { timeout: 50, waiting: 1 }),
        await indicator.check('sessions', { timeout: 50, waiting: 2 }),
      ];
    });
    await Promise.all(waiters);

    const late = 'The connection "default" got no answer within 50 ms.';
    expect(crowded).toMatchObject({
      sessions: {
        message: `In the pool "default" wait 2 callers, more than 1. ${late}`,
        pools: { default: { waiting: 2 } },
      },
    });
    expect(allowed).toMatchObject({ sessions: { message: late } });
  });

  it('is down when the database cannot be reached', async () => {
    const lost = await createTestDatabase();
    const other = await startTestApp({
      databaseUrl: lost.url,
      orm: { pool: { min: 0, max: 1, idleTimeoutMillis: 10 } },
    });
    await lost.drop();

    const health = await other.app.get(SessionHealthIndicator).check('sessions');
    await other.close();

    expect(health).toMatchObject({ sessions: { status: 'down' } });
    expect(JSON.stringify(health)).toContain('cannot be used');
  });

  it('refuses a wrong option', async () => {
    await expect(indicator.check('sessions', { waiting: -1 })).rejects.toThrow(
      new TypeError('Expected `waiting` to be an integer of 0 or more, got `-1` (number).'),
    );
  });
});
