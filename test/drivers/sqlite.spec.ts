import { LibSqlDriver } from '@mikro-orm/libsql';
import type { EntityManager, PostgreSqlDriver } from '@mikro-orm/postgresql';
import { NodeSqliteDialect } from '@mikro-orm/sqlite';
import type { Type } from '@nestjs/common';
import Database from 'better-sqlite3';
import { isTransientError, SessionPoolDeadlockError, TransactionAbortedError } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { type DriverApp, startDriverApp } from './support/driver-app.js';

const variants = {
  'better-sqlite3': {},
  libsql: { driver: LibSqlDriver as unknown as Type<PostgreSqlDriver> },
  'better-sqlite3 in memory': { dbName: ':memory:' },
  'node:sqlite in memory': { driverOptions: new NodeSqliteDialect(':memory:') },
};

describe.each(Object.entries(variants))('on SQLite with %s', (_name, orm) => {
  let app: DriverApp;

  beforeAll(async () => {
    app = await startDriverApp('sqlite', { orm });
  });

  beforeEach(() => app.factory.run((session) => session.nativeDelete(Note, {})));

  afterEach(() => {
    expect(app.registry.list()).toEqual([]);
  });

  afterAll(() => app.close());

  const texts = (): Promise<string[]> =>
    app.factory.run(async (session) =>
      (await session.find(Note, {}, { orderBy: { id: 'asc' } })).map(({ text }) => text),
    );

  const insert = (session: EntityManager, id: number, how = 'insert'): Promise<unknown> =>
    session.execute(`${how} into note (id, text, tenant) values (${id}, '${id}', 'a')`);

  it('a scope within an open transaction fails at once, and says that there is one connection', async () => {
    const nested = app.factory.begin(
      async (session) => {
        await insert(session, 1);
        await app.factory.run((inner) => inner.count(Note));
      },
      { label: 'around' },
    );

    await expect(nested).rejects.toThrow(SessionPoolDeadlockError);
    await expect(nested).rejects.toThrow('SQLite has one connection');
    expect(await texts()).toEqual([]);
  });

  it('transactions take turns', async () => {
    await Promise.all(
      [1, 2, 3, 4].map((id) =>
        app.factory.begin(async (session) => {
          await insert(session, id);
          await session.count(Note);
        }),
      ),
    );

    expect(await texts()).toEqual(['1', '2', '3', '4']);
  });

  it('an error that has rolled the transaction back ends it', async () => {
    const caught = app.factory.begin(async (session) => {
      await insert(session, 1);
      await insert(session, 1, 'insert or rollback').catch(() => undefined);
      await insert(session, 2);
    });

    await expect(caught).rejects.toThrow(TransactionAbortedError);
    expect(await texts()).toEqual([]);
  });

  it('an error that has not leaves it as it is', async () => {
    await app.factory.begin(async (session) => {
      await insert(session, 1);
      await insert(session, 1).catch(() => undefined);
      await insert(session, 2);
    });

    expect(await texts()).toEqual(['1', '2']);
  });
});

describe('on SQLite', () => {
  it('a database that another process has locked is transient', async () => {
    const app = await startDriverApp('sqlite', { orm: { driverOptions: { timeout: 0 } } });
    const other = new Database(app.database.url);
    try {
      other.exec('begin immediate');

      const error = await app.factory
        .begin((session) => session.execute(`insert into note (text, tenant) values ('x', 'a')`))
        .catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'SQLITE_BUSY' });
      expect(isTransientError(error)).toBe(true);

      const attempts: number[] = [];
      await app.jobs.map(
        ['job'],
        async (session, text) => {
          attempts.push(attempts.length);
          if (attempts.length === 2) {
            other.exec('rollback');
          }
          session.create(Note, { text });
        },
        { retry: { limit: 2 } },
      );
      expect(attempts).toEqual([0, 1]);
      expect(await app.texts()).toEqual(['job']);
    } finally {
      other.close();
      await app.close();
    }
  });
});
