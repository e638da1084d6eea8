import type { Connection, MikroORM } from '@mikro-orm/core';

import { getPool, rememberPool } from './get-pool.js';
import { type DriverOptions, isPool, type Pool } from './pool.js';
import { checkPool } from './pool-seams.js';
import { warnOfLostParameters } from './warn-of-lost-parameters.js';

interface ConnectionState {
  readonly connected: boolean;
  readonly options: { driverOptions?: unknown };
}

/** Warns of missing members. Returns whether the object is a pool that can be followed. */
function isKnownPool(pool: unknown): pool is Pool {
  checkPool(pool);
  return isPool(pool);
}

function isOwners(options: object): boolean {
  return 'selectFrom' in options || 'createDriver' in options;
}

/**
 * Calls `watch` with every pool that MikroORM makes for this connection and its read replicas, also after a reconnect.
 *
 * @returns whether MikroORM makes a pool
 */
export async function watchPools(orm: MikroORM, watch: (pool: Pool) => void): Promise<boolean> {
  const { config, driver } = orm;
  const extend = (options: DriverOptions): DriverOptions =>
    isOwners(options)
      ? options // a Kysely instance or dialect, whose pool its owner keeps to himself
      : {
          ...options,
          // Seam: mikro-orm/pool
          onPoolCreated: (pool) => {
            if (isKnownPool(pool)) {
              watch(pool);
            }
            return options.onPoolCreated?.(pool);
          },
        };
  const before: unknown = config.get('driverOptions');
  let isUrlChecked = false;
  const checkUrl = (given: object): void => {
    if (!isUrlChecked && !isOwners(given)) {
      isUrlChecked = true;
      warnOfLostParameters(orm, given);
    }
  };
  const extendAny = (given: unknown): DriverOptions | (() => DriverOptions) => {
    if (typeof given !== 'function') {
      return extend((given as DriverOptions | undefined) ?? {});
    }
    return () => {
      const made = (given as () => DriverOptions)();
      checkUrl(made);
      return extend(made);
    };
  };
  if (typeof before !== 'function') {
    checkUrl(before ?? {});
  }
  config.set('driverOptions', extendAny(before));

  // Seam: mikro-orm/replicas
  const { replicas = [] } = driver as unknown as { readonly replicas?: readonly Connection[] };
  for (const connection of [driver.getConnection('write'), ...replicas]) {
    rememberPool(connection);
    // Seam: mikro-orm/pool
    const { connected, options } = connection as unknown as ConnectionState;
    // The connection copied the options when it was created. It drops the copy when it is closed.
    options.driverOptions = extendAny(options.driverOptions ?? before);
    const pool = connected ? await getPool(connection) : undefined;
    if (pool !== undefined) {
      checkPool(pool);
      checkUrl(pool.options);
      watch(pool);
    }
  }
  return typeof before === 'object' && before !== null ? !isOwners(before) : before === undefined;
}
