import { rm } from 'node:fs/promises';

import { findConnections } from './databases/postgres-database.ts';
import type { TestServer } from './test-server.ts';

/** Ends the database server, and fails the run when a test file left a connection behind. */
export default async function tearDown(): Promise<void> {
  const left = await findConnections();
  await rm(new URL(`../../node_modules/.cache/builds-${process.env['TEST_RUN']}`, import.meta.url), {
    recursive: true,
    force: true,
  });
  const { testServer } = globalThis as { testServer?: TestServer };
  await testServer?.server.stop();
  if (testServer !== undefined) {
    await rm(testServer.folder, { recursive: true, force: true });
  }
  if (left.length > 0) {
    throw new Error(`Connections were left behind:\n${left.join('\n')}`);
  }
}
