import type { MikroORM, Options } from '@mikro-orm/core';

import { SessionSetupError } from '../../session/session-error.js';
import { ServerConnection } from './server-connection.js';

/** The server that MikroORM connects to. */
interface Place {
  readonly host?: string;
  readonly port?: number;
  readonly user?: string;
  readonly password?: string;
}

interface Management {
  readonly managementDbName?: string;
}

/** The server in the options of MikroORM, on which databases are made and dropped. */
export class DatabaseServer {
  readonly #options: Partial<Options>;
  readonly #place: Place;
  readonly #management: Partial<Options>;

  /**
   * @param orm made with these options. It does not need to be connected
   * @throws {SessionSetupError} for a database other than PostgreSQL
   */
  constructor(orm: MikroORM, options: Partial<Options>) {
    const { driver, config } = orm;
    const driverOptions: object = config.get<'driverOptions', object>('driverOptions') ?? {};
    if (!isPostgreSql(driver) || 'selectFrom' in driverOptions || 'createDriver' in driverOptions) {
      throw new SessionSetupError(
        `SessionTesting.database() cannot make databases with the driver "${driver.constructor.name}" as it is ` +
          'configured. It works with @mikro-orm/postgresql, and with a pool of its own.',
      );
    }
    const { managementDbName = 'postgres' } = config.get<'schemaGenerator', Management>('schemaGenerator');
    this.#options = options;
    this.#place = driver.getConnection('write').getConnectionOptions() as Place;
    this.#management = {
      ...at(this.#place, managementDbName),
      driver: config.get<'driver', NonNullable<Options['driver']>>('driver'),
      driverOptions,
    };
  }

  connect(): Promise<ServerConnection> {
    return ServerConnection.open(this.#management);
  }

  /** Returns the options of the user for another database of the server. */
  optionsFor(name: string): Partial<Options> {
    return { ...this.#options, ...at(this.#place, name), replicas: [] };
  }

  urlOf(name: string): string {
    return at(this.#place, name).clientUrl;
  }
}

interface At extends Place {
  readonly dbName: string;
  readonly clientUrl: string;
}

function at(place: Place, dbName: string): At {
  const { host = 'localhost', port = 5_432, user = '', password = '' } = place;
  const url = new URL(`postgresql://${host.includes(':') ? `[${host}]` : host}:${port}/${dbName}`);
  url.username = user;
  url.password = password;
  return { ...place, dbName, clientUrl: url.href };
}

/** Whether a driver is that of PostgreSQL, or extends it. */
function isPostgreSql(driver: object): boolean {
  for (let type: unknown = driver.constructor; typeof type === 'function'; type = Object.getPrototypeOf(type)) {
    if (type.name === 'PostgreSqlDriver') {
      return true;
    }
  }
  return false;
}
