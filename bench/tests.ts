import { type EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { SessionFactory } from 'nestjs-mikro-session';
import { SessionTesting } from 'nestjs-mikro-session/testing';

import { emptyTable, Item, options, startOurs } from './applications.ts';
import type { Claim } from './claim.ts';

const TESTS = 50;

/** What a test writes, and what the application does then. */
async function seedAndLook(factory: SessionFactory<EntityManager>): Promise<void> {
  await factory.begin(async (session) => session.create(Item, { value: 2 }));
  await factory.run((session) => session.count(Item));
}

/** What a test takes that is rolled back, of the time of the same test that commits and empties the table. */
export const testClaim: Claim = {
  title: `${TESTS} tests, each rolled back`,
  peer: 'the same, each with a truncate after it',
  atMost: 1,
  parts: TESTS,
  async ours(databaseUrl) {
    await emptyTable(databaseUrl);
    const app = await startOurs(databaseUrl);
    const testing = await SessionTesting.create<EntityManager>(app);
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    return {
      async round() {
        for (let test = 0; test < TESTS; test += 1) {
          await testing.begin();
          await seedAndLook(factory);
          await testing.rollBack();
        }
      },
      close: () => app.close(),
    };
  },
  async theirs(databaseUrl) {
    await emptyTable(databaseUrl);
    const app = await startOurs(databaseUrl);
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    return {
      async round() {
        for (let test = 0; test < TESTS; test += 1) {
          await seedAndLook(factory);
          await factory.run((session) => session.execute('truncate item restart identity'));
        }
      },
      close: () => app.close(),
    };
  },
};

/** What a cloned database takes of the time of one that is made from nothing. */
export const testDatabaseClaim: Claim = {
  title: 'a cloned database, and its end',
  peer: 'a database that is created, with one table made by MikroORM',
  parts: 1,
  async ours(databaseUrl) {
    const orm = options(databaseUrl);
    return {
      async round() {
        await using _database = await SessionTesting.database({ orm, migrate: (made) => made.schema.create() });
      },
      close: async () => undefined,
    };
  },
  async theirs(databaseUrl) {
    let made = 0;
    return {
      async round() {
        made += 1;
        const database = `bench_made_${process.pid}_${made}`;
        const orm = await MikroORM.init({ ...options(databaseUrl, 1), dbName: database });
        await orm.schema.ensureDatabase();
        await orm.schema.create();
        await orm.schema.dropDatabase(database);
        await orm.close();
      },
      close: async () => undefined,
    };
  },
};
