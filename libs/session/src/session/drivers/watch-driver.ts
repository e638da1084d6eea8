import type { Connection, MikroORM } from '@mikro-orm/core';

import { checkSeam, type Seam } from '../assert-seam.js';
import type { ConnectionPools } from '../pool/connection-pools.js';
import type { DriverKnowledge } from './driver-knowledge.js';
import type { KyselyDialect } from './kysely-driver.js';
import { watchDialect } from './watch-dialect.js';

const DIALECT: Seam = {
  seam: 'mikro-orm/dialect',
  of: '@mikro-orm/sql',
  loss: 'Who has a connection, and who waits for one, is not seen',
};

interface DialectSource {
  readonly connected: boolean;
  readonly options: { driverOptions?: unknown };
  getNativeClient?(): Promise<unknown>;
  createKyselyDialect?(options: unknown): KyselyDialect | Promise<KyselyDialect>;
}

/**
 * Makes the sessions follow the connections of a driver other than PostgreSQL's.
 *
 * @returns what sessions cannot see or do with this driver, as text
 */
export function watchDriver(orm: MikroORM, knowledge: DriverKnowledge, connections: ConnectionPools): string {
  const { config, driver, em } = orm;
  // Seam: mikro-orm/replicas
  const { replicas = [] } = driver as unknown as { readonly replicas?: readonly Connection[] };
  const unseen = new Set([knowledge.unseen]);
  for (const connection of [driver.getConnection('write'), ...replicas]) {
    const source = connection as unknown as DialectSource;
    const watch = (dialect: KyselyDialect): KyselyDialect =>
      watchDialect(dialect, { connection, config, knowledge, connections });
    // Seam: mikro-orm/dialect
    const create = source.createKyselyDialect?.bind(source);
    if (checkSeam(source, ['createKyselyDialect'], DIALECT) && create !== undefined) {
      source.createKyselyDialect = (options) => {
        const dialect = create(options);
        return dialect instanceof Promise ? dialect.then(watch) : watch(dialect);
      };
    }
    const given: unknown = source.options.driverOptions ?? config.get('driverOptions');
    const extended = extendOptions(given, watch);
    if (extended !== given) {
      // The connection drops its copy of the options when it is closed, and reads them again.
      config.set('driverOptions', extended as object);
      source.options.driverOptions = extended;
    }
    const { unseenWithoutPool } = knowledge;
    if (unseenWithoutPool !== undefined && extended !== given) {
      unseen.add(`Its dialect in \`driverOptions\` is yours: ${unseenWithoutPool}`);
    } else if (unseenWithoutPool !== undefined && source.getNativeClient === undefined) {
      unseen.add(`This version of MikroORM does not show its pool: ${unseenWithoutPool}`);
    }
    if (source.connected || isKysely(given)) {
      unseen.add(
        source.connected
          ? 'It was connected before SessionModule started: who waits for a connection is not seen.'
          : 'Its Kysely instance in `driverOptions` is yours: who waits for a connection is not seen.',
      );
    }
  }
  return `The connection "${em.name}" is one of ${knowledge.name}. ${[...unseen].join(' ')} See docs/drivers.md.`;
}

/**
 * Extends the `driverOptions` of the user: options, a dialect or an instance of Kysely, or a function that makes one.
 */
function extendOptions(given: unknown, watch: (dialect: KyselyDialect) => KyselyDialect): unknown {
  if (typeof given === 'function') {
    return () => extendOptions((given as () => unknown)(), watch);
  }
  return isDialect(given) && !isKysely(given) ? watch(given) : given;
}

function isDialect(given: unknown): given is KyselyDialect {
  return typeof given === 'object' && given !== null && 'createDriver' in given;
}

function isKysely(given: unknown): boolean {
  return typeof given === 'object' && given !== null && 'selectFrom' in given;
}
