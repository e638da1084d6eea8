import { Migrator } from '@mikro-orm/migrations';
import { defineConfig, type Options } from '@mikro-orm/postgresql';

import { Factorisation } from '../runs/factorisation.entity.js';
import { Run } from '../runs/run.entity.js';
import { AddEngine } from './add-engine.migration.js';
import { CreateRuns } from './create-runs.migration.js';
import type { Instance } from '../runs/instance.js';
import { readDatabaseUrl } from './read-database-url.js';
import { POOL_SIZE } from '../runs/pool-size.js';

/** Milliseconds that a request waits for a connection. Then the answer says that the database cannot be reached. */
export const CONNECTION_TIMEOUT_MS = 3_000;

export function ormOptions(databaseUrl: string, instance: Instance): Options {
  const { driverOptions, applicationName, ...address } = readDatabaseUrl(databaseUrl);
  return defineConfig({
    ...address,
    entities: [Run, Factorisation],
    extensions: [Migrator],
    migrations: { migrationsList: [CreateRuns, AddEngine], snapshot: false, silent: true },
    pool: { min: 0, max: POOL_SIZE },
    driverOptions: {
      connectionTimeoutMillis: CONNECTION_TIMEOUT_MS,
      ...driverOptions,
      application_name: instance.nameConnections(applicationName),
    },
  });
}
