import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import Database from 'better-sqlite3';

import { poll } from '../poll.ts';
import { untilNone } from '../until-none.ts';
import type { TestDatabase } from '../test-database.ts';

/** Its URL is the path of its file. */
export async function createSqliteDatabase(): Promise<TestDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'nestjs-mikro-session-sqlite-'));
  const path = join(folder, 'test.db');
  const client = new Database(path, { timeout: 0 });

  async function query<Row extends object>(sql: string, values: unknown[] = []): Promise<Row[]> {
    if (sql.includes(';')) {
      client.exec(sql);
      return [];
    }
    const order: unknown[] = [];
    // better-sqlite3 takes a numbered parameter for a named one.
    const text = sql.replaceAll(/\$(\d+)/g, (_found, number: string) => {
      order.push(values[Number(number) - 1]);
      return '?';
    });
    const statement = client.prepare(text);
    if (!statement.reader) {
      statement.run(...order);
      return [];
    }
    return statement.all(...order) as Row[];
  }

  /** There is one connection, which has a lock once its transaction has read or written. */
  const countOpenTransactions = async (): Promise<number> => {
    try {
      client.exec('begin exclusive; rollback');
      return 0;
    } catch {
      return 1;
    }
  };

  return {
    driver: 'sqlite',
    url: path,
    query,
    async until(sql, values) {
      await poll(sql, async () => Number(Object.values((await query(sql, values))[0] ?? {})[0]) === 1);
    },
    async empty(...tables) {
      client.exec(`${tables.map((table) => `delete from ${table}`).join('; ')}; delete from sqlite_sequence`);
    },
    countOpenTransactions,
    untilNoTransaction: () => untilNone(countOpenTransactions),
    async connectionOf() {
      throw new Error('SQLite has no connection that others know.');
    },
    async terminate() {
      throw new Error('Nothing but the application can end the connection of SQLite.');
    },
    async drop() {
      client.close();
      await rm(folder, { recursive: true });
    },
  };
}
