import type { Connection, MikroORM } from '@mikro-orm/core';

import type { ConnectionPools } from '../pool/connection-pools.js';
import type { DriverKnowledge } from './driver-knowledge.js';
import { DriverPool } from './driver-pool.js';
import type { KyselyConnection, KyselyDialect, KyselyDriver } from './kysely-driver.js';

interface DialectOptions {
  readonly connection: Connection;
  readonly config: MikroORM['config'];
  readonly knowledge: DriverKnowledge;
  readonly connections: ConnectionPools;
}

/** Makes a dialect of Kysely whose driver reports to the sessions who has its connections, and what runs on them. */
export function watchDialect(dialect: KyselyDialect, options: DialectOptions): KyselyDialect {
  const { connection, config, knowledge, connections } = options;
  return {
    createDriver: () => {
      const driver = dialect.createDriver();
      const pool = new DriverPool(driver, knowledge.openLinks(connection, config), knowledge, connections);
      connections.followOther(pool);
      return watchDriver(driver, pool, connections);
    },
    // The queue of sessions replaces the lock with which Kysely lends a single connection to one caller after the
    // other.
    // Seam: kysely/driver
    createAdapter: () => Object.defineProperty(dialect.createAdapter(), 'supportsMultipleConnections', { value: true }),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createIntrospector: (db) => dialect.createIntrospector(db),
  };
}

// Seam: kysely/driver
function watchDriver(driver: KyselyDriver, pool: DriverPool, connections: ConnectionPools): KyselyDriver {
  const leaseOf = (handle: KyselyConnection): ReturnType<DriverPool['leaseOf']> => pool.leaseOf(handle);
  return {
    init: (options) => driver.init(options),
    acquireConnection: async () => (await pool.acquire()).statements.handle,
    beginTransaction: (handle, settings) => {
      const lease = leaseOf(handle);
      return lease.transaction.begin(connections.beginnings.unclaimed, settings, () =>
        driver.beginTransaction(lease.connection, settings),
      );
    },
    commitTransaction: (handle) => {
      const lease = leaseOf(handle);
      return lease.transaction.commit(() => driver.commitTransaction(lease.connection));
    },
    rollbackTransaction: (handle) => {
      const lease = leaseOf(handle);
      return lease.transaction.rollBack(() => driver.rollbackTransaction(lease.connection));
    },
    savepoint: async (handle, ...args) => {
      const lease = leaseOf(handle);
      await lease.transaction.mark(async () => driver.savepoint?.(lease.connection, ...args));
    },
    releaseSavepoint: async (handle, ...args) => {
      const lease = leaseOf(handle);
      await lease.transaction.mark(async () => driver.releaseSavepoint?.(lease.connection, ...args));
    },
    rollbackToSavepoint: async (handle, ...args) => {
      const lease = leaseOf(handle);
      await lease.transaction.undo(async () => driver.rollbackToSavepoint?.(lease.connection, ...args));
    },
    releaseConnection: async (handle) => leaseOf(handle).release(),
    destroy: (options) => pool.close(() => driver.destroy(options)),
  };
}
