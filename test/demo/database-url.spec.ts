import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chooseSslMode } from '../../src/database/choose-ssl-mode.js';
import { readDatabaseUrl } from '../../src/database/read-database-url.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { startDemo } from './support/demo-app.js';
import { certificate } from './support/self-signed.js';
import { startTlsProxy } from './support/tls-proxy.js';

describe('DATABASE_URL', () => {
  let database: TestDatabase;
  let folder: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    folder = await mkdtemp(join(tmpdir(), 'certificate-'));
    await writeFile(join(folder, 'root.crt'), certificate);
  });

  afterAll(async () => {
    await rm(folder, { recursive: true });
    await database.drop();
  });

  /** Starts the demo, and has it factorise a number in the process and on the queue. */
  async function use(url: string): Promise<string> {
    const demo = await startDemo(await chooseSslMode(url));
    try {
      const runs = await Promise.all([
        demo.client.complete({ numbers: [12] }),
        demo.client.complete({ numbers: [12], engine: 'queue' }),
      ]);
      return runs.map(({ state }) => state).join(' ');
    } finally {
      await demo.close();
    }
  }

  it.each(['require', 'no-verify', 'verify-ca', 'verify-full'])(
    'with sslmode=%s does not connect to a server without TLS',
    async (mode) => {
      const root = mode === 'verify-ca' ? `&sslrootcert=${join(folder, 'root.crt')}` : '';

      await expect(use(`${database.url}?sslmode=${mode}${root}`)).rejects.toThrow(
        'The server does not support SSL connections',
      );
    },
  );

  it.each(['disable', 'prefer', 'allow'])('with sslmode=%s connects to a server without TLS', async (mode) => {
    expect(await use(`${database.url}?sslmode=${mode}`)).toBe('done done');
  });

  it.each<[mode: string, result: string]>([
    ['require', 'done done'],
    ['no-verify', 'done done'],
    ['prefer', 'done done'],
    ['allow', 'done done'],
    ['verify-full', 'self-signed certificate'],
    ['verify-ca&sslrootcert=ROOT', 'done done'],
    ['require&sslrootcert=ROOT', 'done done'],
    ['verify-full&sslrootcert=ROOT', 'does not match certificate'],
  ])('with sslmode=%s and a server with a certificate of its own making gives %s', async (mode, result) => {
    await using proxy = await startTlsProxy(database.url);
    const url = `${proxy.url}?sslmode=${mode.replace('ROOT', join(folder, 'root.crt'))}`;

    const outcome = await use(url).catch(String);

    expect(outcome).toContain(result);
  });

  it('may name the connections and set what holds in them', async () => {
    const demo = await startDemo(`${database.url}?application_name=shop&options=-c%20statement_timeout%3D4321`);
    const names = await database.query<{ name: string }>(
      `select distinct application_name as name from pg_stat_activity
       where datname = current_database() and application_name <> 'test observer'`,
    );
    await demo.close();

    expect(names.length).toBeGreaterThan(0);
    expect(names.filter(({ name }) => !/^shop( numbers [\da-f-]{36})?$/.test(name))).toEqual([]);
    expect(readDatabaseUrl(`${database.url}?options=-c%20statement_timeout%3D4321`).driverOptions).toEqual({
      options: '-c statement_timeout=4321',
    });
  });

  it.each([
    ['postgres://me@/shop?host=/var/run/postgresql', { host: '/var/run/postgresql', user: 'me', dbName: 'shop' }],
    ['postgres:///shop?host=/tmp&port=5433', { host: '/tmp', port: 5433, dbName: 'shop' }],
    ['postgres://me:p%40ss@db.test:5433/shop', { host: 'db.test', port: 5433, password: 'p@ss', dbName: 'shop' }],
    ['postgres://me@db.test', { user: 'me', dbName: 'me' }],
    ['postgres://db.test/shop?schema=mine', { schema: 'mine' }],
    ['postgres://db.test/shop?ssl=false', { driverOptions: { ssl: false } }],
    ['postgres://db.test/shop?ssl=true', { driverOptions: { ssl: true } }],
    ['postgres://db.test/shop?connect_timeout=2', { driverOptions: { connectionTimeoutMillis: 2_000 } }],
    ['postgres://db.test/shop?statement_timeout=5', { driverOptions: { statement_timeout: 5 } }],
  ])('is read with its parameters: %s', (url, expected) => {
    expect(readDatabaseUrl(url)).toMatchObject(expected);
  });

  it.each([
    ['postgres://db.test/shop?sslmode=yes', 'Expected `sslmode` of DATABASE_URL to be one of disable, '],
    ['postgres://db.test/shop?sslmode=', 'Expected `sslmode` of DATABASE_URL to be one of disable, '],
    ['postgres://db.test/shop?ssl=perhaps', 'Expected `ssl` of DATABASE_URL to be true, false or no-verify'],
    ['postgres://db.test/shop?statement_timeout=soon', 'Expected `statement_timeout` of DATABASE_URL to be a number'],
    ['postgres://db.test:5432', 'Expected DATABASE_URL to name a database'],
  ])('is refused where it is wrong: %s', (url, message) => {
    expect(() => readDatabaseUrl(url)).toThrow(message);
  });
});
