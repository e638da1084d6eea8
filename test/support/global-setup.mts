import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { startEmbeddedPostgres } from '../../src/postgres/embedded-postgres.ts';
import { checkSlowSpecs } from './slow-specs.ts';
import type { TestServer } from './test-server.ts';

const cache = fileURLToPath(new URL('../../node_modules/.cache', import.meta.url));

/** Starts the database server for all test files, unless DATABASE_URL names one. */
export default async function setUp(): Promise<void> {
  checkSlowSpecs();
  process.env['TEST_RUN'] = randomBytes(4).toString('hex');
  // The processes and threads that tests start load the same packages again and again.
  process.env['NODE_COMPILE_CACHE'] ??= join(cache, 'compiled');
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
  process.env['DATABASE_URL'] = server.url;
  const shared = globalThis as { testServer?: TestServer };
  shared.testServer = { folder, server };
}
