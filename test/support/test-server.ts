import type { EmbeddedPostgres } from '../../src/postgres/embedded-postgres.js';

/** What the global set-up leaves to the global teardown. */
export interface TestServer {
  readonly folder: string;
  readonly server: EmbeddedPostgres;
}
