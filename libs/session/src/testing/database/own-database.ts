import {
  type EntityManager,
  type EntityManagerType,
  type IDatabaseDriver,
  MikroORM,
  type Options,
} from '@mikro-orm/core';

import { aName, anObject, assertOptions, ofType, type Rule } from '../../session/assert-options.js';
import { SessionSetupError } from '../../session/session-error.js';
import { nameClone, nameTemplate } from './database-names.js';
import { DatabaseServer } from './database-server.js';
import { dropStale } from './drop-stale.js';
import { TemplateDatabase } from './template-database.js';
import { hashTemplate } from './hash-template.js';

type Entities = NonNullable<Options['entities']>;

/** Options of `SessionTesting.database()`. */
export interface OwnDatabaseOptions<
  Driver extends IDatabaseDriver = IDatabaseDriver,
  Em extends Driver[typeof EntityManagerType] & EntityManager<Driver> = Driver[typeof EntityManagerType] &
    EntityManager<Driver>,
  Known extends Entities = Entities,
> {
  /** The options of MikroORM. The database that they name is not touched: only its server is used. */
  readonly orm: Partial<Options<Driver, Em, Known>>;
  /** Creates the tables of the template, and the rows that all tests need. Called once for all processes. */
  readonly migrate: (orm: MikroORM<Driver, Em, Known>) => unknown;
  /**
   * The version of the template. A change of the entities, the migrations or the code of `migrate` makes a new template
   * by itself. Change the version when something else changes that `migrate` uses, such as a file of seeds.
   */
  readonly version?: string;
}

const rules: Record<keyof OwnDatabaseOptions, Rule> = { orm: anObject, migrate: ofType('function'), version: aName };

/** A separate database for tests, made by `SessionTesting.database()`. */
export class OwnDatabase<OrmOptions extends object = Partial<Options>> implements AsyncDisposable {
  #dropping: Promise<void> | undefined;

  private constructor(
    private readonly server: DatabaseServer,
    /** The name of the database. */
    readonly name: string,
  ) {}

  static async create<OrmOptions extends object>(options: object): Promise<OwnDatabase<OrmOptions>> {
    if (process.env['NODE_ENV'] === 'production') {
      throw new SessionSetupError(
        'SessionTesting.database() makes and drops databases, and does not start where NODE_ENV is "production".',
      );
    }
    assertOptions('SessionTesting.database()', options, rules);
    const { orm: given, migrate, version } = options as OwnDatabaseOptions;
    const all = { ...given, discovery: { warnWhenNoEntities: false, ...given.discovery } };
    const orm = await MikroORM.init(all);
    const server = new DatabaseServer(orm, all);
    const key = await hashTemplate(orm, { migrate, version });
    const database = new OwnDatabase<OrmOptions>(server, nameClone(key));
    await using connection = await server.connect();
    await dropStale(connection);
    await new TemplateDatabase(server, connection, nameTemplate(key)).clone(database.name, migrate);
    return database;
  }

  /** The URL of the database, for `clientUrl` or the environment of the application. */
  get url(): string {
    return this.server.urlOf(this.name);
  }

  /** The given options of MikroORM, for this database. */
  get orm(): OrmOptions {
    return this.server.optionsFor(this.name) as OrmOptions;
  }

  /** Drops the database, and ends the connections that are still open to it. */
  drop(): Promise<void> {
    this.#dropping ??= this.#drop();
    return this.#dropping;
  }

  /** Does the same at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.drop();
  }

  async #drop(): Promise<void> {
    await using connection = await this.server.connect();
    await connection.query(`drop database if exists "${this.name}" with (force)`);
  }
}
