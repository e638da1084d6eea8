import { type Options, PostgreSqlDriver } from '@mikro-orm/postgresql';

import { Mark } from './mark.entity.js';

export interface OrmSettings {
  readonly databaseUrl: string;
  /** How the server knows the connections. */
  readonly name: string;
  readonly poolSize: number;
  /** Milliseconds after which the driver gives up on an answer. */
  readonly queryTimeout?: number | undefined;
}

/** The MikroORM options of every application of a storm. */
export function toOrmOptions({ databaseUrl, name, poolSize, queryTimeout }: OrmSettings): Options {
  return {
    driver: PostgreSqlDriver,
    clientUrl: databaseUrl,
    entities: [Mark],
    pool: { min: 0, max: poolSize },
    driverOptions: {
      application_name: name,
      connectionTimeoutMillis: 3_000,
      ...(queryTimeout !== undefined && { query_timeout: queryTimeout }),
    },
    logger: () => undefined,
  };
}
