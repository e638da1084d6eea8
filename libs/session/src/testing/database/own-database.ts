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

export interface OwnDatabaseOptions<
  Driver extends IDatabaseDriver = IDatabaseDriver,
  Em extends Driver[typeof EntityManagerType] & EntityManager<Driver> = Driver[typeof EntityManagerType] &
    EntityManager<Driver>,
  Known extends Entities = Entities,
> {
  /** What MikroORM is started with. The database that it names is not touched: only its server counts. */
  readonly orm: Partial<Options<Driver, Em, Known>>;
  /** Makes the tables of the template, and what all tests find in them. Called once for all processes. */
  readonly migrate: (orm: MikroORM<Driver, Em, Known>) => unknown;
  /**
   * Tells templates apart, beside the entities, the migrations and the code of `migrate`: say another one when anything else
   * changes that `migrate` uses, such as a file of seeds.
   */
  readonly version?: string;
}

const rules: Record<keyof OwnDatabaseOptions, Rule> = { orm: anObject, migrate: ofType('function'), version: aName };

/** A database of its own for some tests. Made by `SessionTesting.database()`. */
export class OwnDatabase<OrmOptions extends object = Partial<Options>> implements AsyncDisposable {
  #dropping: Promise<void> | undefined;

  private constructor(
    private readonly server: DatabaseServer,
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

  /** For `clientUrl`, or the environment of the application. */
  get url(): string {
    return this.server.urlOf(this.name);
  }

  /** The options of MikroORM that it was made with, for this database. */
  get orm(): OrmOptions {
    return this.server.optionsFor(this.name) as OrmOptions;
  }

  /** Drops it, and ends what is still connected to it. */
  drop(): Promise<void> {
    this.#dropping ??= this.#drop();
    return this.#dropping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.drop();
  }

  async #drop(): Promise<void> {
    await using connection = await this.server.connect();
    await connection.query(`drop database if exists "${this.name}" with (force)`);
  }
}
