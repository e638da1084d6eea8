import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

describe('SessionRegistry', () => {
  let database: TestDatabase;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url });
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  it('lists the live scopes with what they hold', async () => {
    const registry = app.get<SessionRegistry>(SessionRegistry);
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);

    await factory.run(
      async () => {
        await factory.begin(
          async (session) => {
            await session.execute('select 1');
            expect(registry.list()).toMatchObject([
              { kind: 'run', label: 'outer', state: 'open', heldConnections: 0, age: expect.any(Number) },
              { kind: 'begin', label: 'inner', state: 'open', heldConnections: 1, openedAt: expect.any(Date) },
            ]);
          },
          { label: 'inner' },
        );
      },
      { label: 'outer' },
    );

    expect(registry.list()).toEqual([]);
  });

  it('forgets a scope however it ended', async () => {
    const registry = app.get<SessionRegistry>(SessionRegistry);

    await app.get<JobService>(JobService).settle(Array(20).keys(), (_session, n) => {
      if (n % 2 === 0) {
        throw new Error('on purpose');
      }
    });

    expect(registry.list()).toEqual([]);
  });
});

describe('the option `leakAfter`', () => {
  it('reports a scope that is open for too long, once, with the stack that opened it', async () => {
    const database = await createTestDatabase();
    const app = await startTestApp({ databaseUrl: database.url, session: { leakAfter: 100 } });
    const reported = Promise.withResolvers<void>();
    using log = new (class extends CapturedLog {
      override warn(message: unknown): void {
        super.warn(message);
        reported.resolve();
      }
    })();

    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const wait = async (session: EntityManager): Promise<void> => {
      await session.execute('select 1');
      await reported.promise;
    };
    await factory.run((session) => session.execute('select 1'));

    await factory.begin(wait, { label: 'slow' });

    expect(log.warnings).toEqual([
      expect.stringMatching(
        /^The scope "slow" has been open for \d+ ms\. It is open and holds 1 connection\(s\)\. Its session was opened here:\n[^]*leaks\.spec\.ts/,
      ),
    ]);
    await app.close();
    await database.drop();
  });
});
