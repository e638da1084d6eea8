import { MikroORM } from '@mikro-orm/core';

import { findSqlState } from '../../session/pool/lost-connection.js';
import { SessionSetupError } from '../../session/session-error.js';
import type { DatabaseServer } from './database-server.js';
import type { ServerConnection } from './server-connection.js';

const NO_RIGHT = '42501';

type Migrate = (orm: MikroORM) => unknown;

/** The database that others are cloned from. It is ready when connections to it are no longer allowed. */
export class TemplateDatabase {
  constructor(
    private readonly server: DatabaseServer,
    private readonly connection: ServerConnection,
    private readonly name: string,
  ) {}

  /**
   * Makes a clone. Makes the template first where there is none yet. Other processes that need the same template wait
   * for it.
   */
  async clone(name: string, migrate: Migrate): Promise<void> {
    if (!(await this.#isReady())) {
      await this.connection.inTurn(this.name, async () => {
        if (!(await this.#isReady())) {
          await this.#make(migrate);
        }
      });
    }
    await this.#create(name, `template "${this.name}"`);
    await this.#use();
  }

  async #isReady(): Promise<boolean> {
    const rows = await this.connection.query('select from pg_database where datname = $1 and not datallowconn', [
      this.name,
    ]);
    return rows.length > 0;
  }

  async #make(migrate: Migrate): Promise<void> {
    const { connection, name } = this;
    // Another process began to make this template and did not finish it.
    await connection.query(`drop database if exists "${name}" with (force)`);
    await this.#create(name, 'template template0');
    try {
      await this.#use();
      await this.#migrate(migrate);
      await connection.query(`alter database "${name}" with allow_connections false`);
      // A database with connections cannot be cloned.
      await connection.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name]);
    } catch (error) {
      await connection.query(`drop database if exists "${name}" with (force)`);
      throw error;
    }
  }

  async #migrate(migrate: Migrate): Promise<void> {
    const orm = await MikroORM.init(this.server.optionsFor(this.name));
    try {
      await this.#assertReached(orm);
      await migrate(orm);
    } finally {
      await orm.close(true);
    }
  }

  /** Checks the database that MikroORM has connected to: the `driverOptions` win over all other options. */
  async #assertReached({ driver }: MikroORM): Promise<void> {
    const [row] = (await driver.getConnection('write').execute('select current_database() as name')) as {
      readonly name: string;
    }[];
    if (row?.name !== this.name) {
      throw new SessionSetupError(
        `SessionTesting.database() wanted to migrate the database "${this.name}", but MikroORM connected to "${row?.name}". ` +
          'Say where the database is with `clientUrl`, or `host` and `dbName`, not in `driverOptions`.',
      );
    }
  }

  async #create(name: string, options: string): Promise<void> {
    try {
      await this.connection.query(`create database "${name}" ${options}`);
    } catch (cause) {
      if (findSqlState(cause) !== NO_RIGHT) {
        throw cause;
      }
      const [row] = await this.connection.query('select current_user as name');
      throw new SessionSetupError(
        `SessionTesting.database() cannot make a database: the user "${String(row?.['name'])}" may not. Let an ` +
          `administrator run: alter role "${String(row?.['name'])}" createdb`,
        { cause },
      );
    }
  }

  /** Records the use of the template, which keeps it for some days. */
  async #use(): Promise<void> {
    const today = new Date().toISOString().slice(0, 10);
    const [row] = await this.connection.query(
      `select shobj_description(oid, 'pg_database') as used from pg_database where datname = $1`,
      [this.name],
    );
    if (row?.['used'] !== today) {
      await this.connection.query(`comment on database "${this.name}" is '${today}'`);
    }
  }
}
