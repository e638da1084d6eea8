import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';

import { poll } from '../poll.ts';
import { untilNone } from '../until-none.ts';
import type { TestDatabase } from '../test-database.ts';

const LOOKS_MS = 110;
const LOCAL = { host: '127.0.0.1', port: 3306 };

/** The server that tests use, where there is one: that of `MARIADB_URL`, or one that listens here. */
export async function findMariadbUrl(): Promise<string | undefined> {
  return process.env['MARIADB_URL'] ?? ((await listens()) ? `mysql://root@${LOCAL.host}:${LOCAL.port}` : undefined);
}

export async function createMariadbDatabase(): Promise<TestDatabase> {
  const server = await findMariadbUrl();
  if (server === undefined) {
    throw new Error('There is no MariaDB: set MARIADB_URL.');
  }
  const name = `mikro_session_test_${randomBytes(6).toString('hex')}`;
  const url = new URL(server);
  const client = await createConnection({ uri: url.href, multipleStatements: true });
  await client.query(`create database ${name}; use ${name}`);
  url.pathname = `/${name}`;

  async function query<Row extends object>(sql: string, values: unknown[] = []): Promise<Row[]> {
    const [rows] = await client.query<(Row & RowDataPacket)[]>(...bind(sql, values));
    return rows;
  }

  async function until(sql: string, values?: unknown[]): Promise<void> {
    await poll(sql, async () => Number(Object.values((await query(sql, values))[0] ?? {})[0]) === 1);
  }

  async function countOpenTransactions(): Promise<number> {
    // The server looks at its transactions ten times a second.
    await pause(LOOKS_MS);
    const rows = await query<{ n: number }>(
      `select count(*) as n from information_schema.innodb_trx
       join information_schema.processlist on id = trx_mysql_thread_id where db = database()`,
    );
    return rows[0]!.n;
  }

  return {
    driver: 'mariadb',
    url: url.href,
    query,
    until,
    async empty(...tables) {
      // TRUNCATE makes the files of a table anew, which takes longer.
      await query(tables.map((table) => `delete from ${table}; alter table ${table} auto_increment = 1`).join('; '));
    },
    countOpenTransactions,
    untilNoTransaction: () => untilNone(countOpenTransactions),
    async connectionOf(em) {
      const [row] = await em.execute<{ id: number }[]>('select connection_id() as id');
      return Number(row?.id);
    },
    async terminate(connection) {
      await query(`kill ${connection}`);
      await until('select count(*) = 0 from information_schema.processlist where id = $1', [connection]);
    },
    async drop() {
      await assertNoneLeft(client);
      await client.query(`drop database ${name}`);
      await client.end();
    },
  };
}

/** mysql2 knows question marks alone. */
function bind(sql: string, values: readonly unknown[]): [sql: string, values: unknown[]] {
  const order: unknown[] = [];
  const text = sql.replaceAll(/\$(\d+)/g, (_found, number: string) => {
    order.push(values[Number(number) - 1]);
    return '?';
  });
  return [text, order];
}

async function assertNoneLeft(client: Connection): Promise<void> {
  let left: unknown[] = [];
  await poll('no connection is left', async () => {
    const [rows] = await client.query<RowDataPacket[]>(
      'select id, command, info from information_schema.processlist where db = database() and id <> connection_id()',
    );
    left = rows;
    return left.length === 0;
  }).catch((cause: unknown) => {
    throw new Error(`Connections were left behind: ${JSON.stringify(left)}`, { cause });
  });
}

function listens(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(LOCAL);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
