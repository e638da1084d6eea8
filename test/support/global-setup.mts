import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Client } from 'pg';

import { buildPage } from '../../scripts/build-page.ts';
import { startEmbeddedPostgres } from '../../src/postgres/embedded-postgres.ts';
import { checkSlowSpecs } from './slow-specs.ts';
import type { TestServer } from './test-server.ts';

/** The part of the memory that is a file system, on Linux, and what must be free there to be used. */
const MEMORY = '/dev/shm';
const NEEDED_BYTES = 4 * 1024 ** 3;

const cache = fileURLToPath(new URL('../../node_modules/.cache', import.meta.url));

/** Starts the database server for all test files, unless DATABASE_URL names one. */
export default async function setUp(): Promise<void> {
  checkSlowSpecs();
  process.env['TEST_RUN'] = randomBytes(4).toString('hex');
  // The processes and threads that tests start load the same packages again and again.
  process.env['NODE_COMPILE_CACHE'] ??= join(cache, 'compiled');
  // Once for all: a file that is read while another one builds would be missing.
  await buildPage();
  await keepServersInMemory();
  if (process.env['DATABASE_URL'] !== undefined) {
    return;
  }
  const folder = await mkdtemp(join(tmpdir(), 'nestjs-mikro-session-test-'));
  // Lets the user that PostgreSQL runs as, when this one is root, pass.
  await chmod(folder, 0o711);
  const server = await startEmbeddedPostgres({
    folder,
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '200' },
  });
  await hashPasswordOnce(server.url);
  process.env['DATABASE_URL'] = server.url;
  const shared = globalThis as { testServer?: TestServer };
  shared.testServer = { folder, server };
}

/** Whoever connects hashes the password as often as the server did: 4,096 times by default, and tests connect often. */
async function hashPasswordOnce(url: string): Promise<void> {
  const client = new Client(url);
  await client.connect();
  await client.query('set scram_iterations = 1');
  await client.query(`alter role current_user password '${new URL(url).password}'`);
  await client.end();
}

/** A database has hundreds of files, and each test file makes one: on a disk that takes longer than most tests do. */
async function keepServersInMemory(): Promise<void> {
  const { bavail, bsize } = await statfs(MEMORY).catch(() => ({ bavail: 0, bsize: 0 }));
  if (process.env['TMPDIR'] === undefined && bavail * bsize >= NEEDED_BYTES) {
    process.env['TMPDIR'] = MEMORY;
  }
}
