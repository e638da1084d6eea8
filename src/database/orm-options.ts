import { Migrator } from '@mikro-orm/migrations';
import { defineConfig, type Options } from '@mikro-orm/postgresql';

import { Factorisation } from '../runs/factorisation.entity.js';
import { Run } from '../runs/run.entity.js';
import { CreateRuns } from './create-runs.migration.js';
import { POOL_SIZE } from './pool-size.js';

/** How long a request waits for a connection before it is told that the database cannot be reached. */
const CONNECTION_TIMEOUT_MS = 3_000;

export function ormOptions(databaseUrl: string): Options {
  return defineConfig({
    clientUrl: databaseUrl,
    entities: [Run, Factorisation],
    extensions: [Migrator],
    migrations: { migrationsList: [CreateRuns], snapshot: false, silent: true },
    pool: { min: 0, max: POOL_SIZE },
    driverOptions: { connectionTimeoutMillis: CONNECTION_TIMEOUT_MS },
  });
}
