import type { Options } from '@mikro-orm/postgresql';
import type { Pool } from 'pg';

export interface CaughtPool {
  readonly options: Pick<Options, 'driverOptions'>;
  /** The pool, once the application has connected. */
  readonly pool: Promise<Pool>;
}

/** Makes options of MikroORM with which a test gets the pool of its application: 7.1 hands it to nobody else. */
export function catchPool(): CaughtPool {
  const { promise, resolve } = Promise.withResolvers<Pool>();
  return { options: { driverOptions: { onPoolCreated: resolve } }, pool: promise };
}
