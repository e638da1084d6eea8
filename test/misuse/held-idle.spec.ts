import { setTimeout as delay } from 'node:timers/promises';

import type { EntityManager } from '@mikro-orm/postgresql';
import { Logger } from '@nestjs/common';
import { JobService, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';

import { poll } from '../support/poll.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { itUnless } from '../support/unless.js';

const LIMIT_MS = 100;
const NO_SLEEP = { sqlite: 'No statement can be made to wait.' };

describe('the option `heldIdleAfter`', () => {
  let database: TestDatabase;
  let app: TestApp;
  let factory: SessionFactory<EntityManager>;
  let warnings: string[];

  const start = async (leakAfter?: number): Promise<void> => {
    app = await startTestApp({
      databaseUrl: database.url,
      session: { heldIdleAfter: LIMIT_MS, ...(leakAfter !== undefined && { leakAfter }) },
    });
    factory = app.get(SessionFactory);
    // What was said at start.
    warnings = [];
  };

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  beforeEach(() => {
    warnings = [];
    import.meta.jest.spyOn(Logger.prototype, 'warn').mockImplementation((message) => {
      warnings.push(String(message));
    });
  });

  afterEach(async () => {
    import.meta.jest.restoreAllMocks();
    await app.close();
  });

  afterAll(() => database.drop());

  const sleep = (ms: number): string => `select ${database.driver === 'mariadb' ? 'sleep' : 'pg_sleep'}(${ms / 1_000})`;

  const isWarned = (): Promise<void> => poll('a warning', async () => warnings.length > 0);

  it('reports a transaction that waits for something else between two statements', async () => {
    await start();

    await factory.begin(
      async (session) => {
        await session.execute('select 1');
        await isWarned();
        await session.execute('select 2');
      },
      { label: 'slow block' },
    );

    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(
      /^The transaction of "slow block" has held its connection for \d+ ms while no statement/,
    );
  });

  it('reports one of many jobs that do the same', async () => {
    await start();

    await app.get<JobService<EntityManager>>(JobService).map([1, 2, 3, 4, 5, 6], async (session) => {
      await session.execute('select 1');
      await delay(LIMIT_MS * 2);
    });

    expect(warnings).toHaveLength(1);
  });

  it('names the place where the session was opened, when stacks are taken', async () => {
    await start(60_000);

    await factory.begin(async (session) => {
      await session.execute('select 1');
      await isWarned();
    });

    expect(warnings[0]).toContain('held-idle.spec.ts');
  });

  itUnless(NO_SLEEP)(
    'reports neither a statement that takes long, nor a session without a transaction, nor one that has ended',
    async () => {
      await start();

      await factory.begin((session) => session.execute(sleep(LIMIT_MS * 3)));
      await factory.run(async (session) => {
        await session.execute('select 1');
        await delay(LIMIT_MS * 3);
      });

      expect(warnings).toEqual([]);
    },
  );

  itUnless(NO_SLEEP)('is told by the registry', async () => {
    await start();
    const registry = app.get<SessionRegistry>(SessionRegistry);
    const idleFor = (): number | undefined => registry.list()[0]?.heldIdleFor;

    const told = await factory.begin(async (session) => {
      await session.execute('select 1');
      await isWarned();
      const waiting = idleFor();
      const running = session.execute(sleep(100));
      await poll('the statement runs', async () => idleFor() === 0);
      await running;
      return waiting;
    });

    expect(told).toBeGreaterThanOrEqual(LIMIT_MS - 1);
    expect(registry.list()).toEqual([]);
  });
});
