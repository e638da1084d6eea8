import { randomBytes } from 'node:crypto';

import { Client, type QueryResultRow } from 'pg';

import { poll } from '../poll.ts';
import { untilNone } from '../until-none.ts';
import type { TestDatabase } from '../test-database.ts';

export async function createPostgresDatabase(): Promise<TestDatabase> {
  const name = prefix() + randomBytes(6).toString('hex');
  await administer(async (admin) => {
    const { rows } = await admin.query<{ copies: boolean }>(
      `select current_setting('server_version_num')::int >= 150000 as copies`,
    );
    // To copy the files takes a third of the time that the way of the write-ahead log does, to drop them as well.
    await admin.query(`create database ${name}${rows[0]?.copies === true ? ' strategy file_copy' : ''}`);
  });
  const url = new URL(serverUrl());
  url.pathname = `/${name}`;
  const client = new Client({ connectionString: url.href, application_name: 'test observer' });
  await client.connect();

  async function query<Row extends QueryResultRow>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return (await client.query<Row>(sql, values)).rows;
  }

  async function until(sql: string, values: unknown[] = []): Promise<void> {
    await poll(sql, async () => Object.values((await query(sql, values))[0] ?? {})[0] === true);
  }

  async function countOpenTransactions(): Promise<number> {
    const rows = await query<{ n: number }>(
      `select count(*)::int as n from pg_stat_activity where datname = current_database() and state like 'idle in%'`,
    );
    return rows[0]!.n;
  }

  return {
    driver: 'postgresql',
    url: url.href,
    query,
    until,
    async empty(...tables) {
      await query(`truncate ${tables.join(', ')} restart identity`);
    },
    countOpenTransactions,
    untilNoTransaction: () => untilNone(countOpenTransactions),
    async connectionOf(em) {
      const [row] = await em.execute<{ pid: number }[]>('select pg_backend_pid() as pid');
      return Number(row?.pid);
    },
    async terminate(connection) {
      await query('select pg_terminate_backend($1)', [connection]);
      await until('select count(*) = 0 from pg_stat_activity where pid = $1', [connection]);
    },
    async drop() {
      await client.end();
      let left: string[] = [];
      await poll('no connection is left', async () => {
        left = await findConnections(name);
        return left.length === 0;
      }).catch((error: unknown) => {
        throw new Error(`Connections were left behind:\n${left.join('\n')}`, { cause: error });
      });
      await administer((admin) => admin.query(`drop database ${name}`));
    },
  };
}

/** Describes the connections to the test databases of this run, or to one of them. */
export async function findConnections(database = `${prefix()}%`): Promise<string[]> {
  const { rows } = await administer((admin) =>
    admin.query<{ about: string }>(
      `select concat_ws(' ', datname, pid, state, query) as about from pg_stat_activity where datname like $1`,
      [database],
    ),
  );
  return rows.map(({ about }) => about);
}

async function administer<Result>(work: (admin: Client) => Promise<Result>): Promise<Result> {
  const admin = new Client({ connectionString: serverUrl() });
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}

/** Several runs may share a server. */
function prefix(): string {
  return `mikro_session_test_${setting('TEST_RUN')}_`;
}

function serverUrl(): string {
  return setting('DATABASE_URL');
}

function setting(name: 'DATABASE_URL' | 'TEST_RUN'): string {
  const value = process.env[name];
  if (value === undefined) {
    throw new Error(`${name} is not set: the global set-up of the tests did not run.`);
  }
  return value;
}
