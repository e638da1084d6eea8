import { createHash, randomBytes } from 'node:crypto';
import { hostname } from 'node:os';

import { MikroOrmModule } from '@mikro-orm/nestjs';
import type { EntityManager, Options, PostgreSqlDriver } from '@mikro-orm/postgresql';
import { SqliteDriver } from '@mikro-orm/sqlite';
import { Test } from '@nestjs/testing';
import { SessionFactory, SessionModule } from 'nestjs-mikro-session';
import { type OwnDatabaseOptions, SessionTesting } from 'nestjs-mikro-session/testing';
import { Client } from 'pg';

import { Note } from '../support/note.entity.js';
import { ormOptions } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { Owner, Pet } from './testing.entities.js';

type Migrate = OwnDatabaseOptions<PostgreSqlDriver>['migrate'];

const DAY_MS = 86_400_000;
const machine = createHash('sha256').update(hostname()).digest('hex').slice(0, 6);
/** As a process of this machine, or of another, would have named it. */
const cloneOf = (key: string, pid: number, since: number, host = machine): string =>
  ['session_testing', key, host, pid.toString(36), since.toString(36), randomBytes(4).toString('hex')].join('_');
/** No system has so many. */
const NO_PID = 2 ** 31 - 2;

describe('SessionTesting.database()', () => {
  let server: TestDatabase;
  let options: Options;
  let version: string;
  let migrated: number;
  const keys = new Set<string>();

  const migrate: Migrate = async (orm) => {
    migrated += 1;
    await orm.schema.create();
    await orm.em.fork().insert(Note, { text: 'seed' });
  };

  const make = async (
    more: Partial<OwnDatabaseOptions<PostgreSqlDriver>> = {},
  ): ReturnType<typeof SessionTesting.database> => {
    const database = await SessionTesting.database({ orm: options, migrate, version, ...more });
    keys.add(keyOf(database));
    return database;
  };

  const keyOf = ({ name }: { readonly name: string }): string => name.split('_')[2] ?? '';

  /** The databases of one template, and the template. */
  const namesOf = async (key: string): Promise<string[]> => {
    const rows = await server.query<{ name: string }>(
      `select datname as name from pg_database where datname ~ ('^session_testing_(template_)?' || $1) order by datname`,
      [key],
    );
    return rows.map(({ name }) => name);
  };

  const textsIn = async (url: string): Promise<unknown[]> => {
    const client = new Client(url);
    await client.connect();
    const { rows } = await client.query<{ text: string }>('select text from note order by id');
    await client.end();
    return rows.map(({ text }) => text);
  };

  beforeAll(async () => {
    server = await createTestDatabase();
    options = ormOptions(server.url);
  });

  beforeEach(() => {
    migrated = 0;
    version = randomBytes(8).toString('hex');
  });

  afterEach(async () => {
    for (const key of keys) {
      for (const name of await namesOf(key)) {
        await server.query(`drop database "${name}" with (force)`);
      }
    }
    keys.clear();
  });

  afterAll(() => server.drop());

  it('is cloned from a template that one makes and others wait for', async () => {
    const [one, other] = await Promise.all([make(), make()]);
    const third = await make();
    const module = await Test.createTestingModule({
      imports: [MikroOrmModule.forRoot(one.orm), SessionModule.forRoot()],
    }).compile();
    await module
      .get<SessionFactory<EntityManager>>(SessionFactory)
      .begin(async (session) => session.create(Note, { text: 'mine' }));

    const texts = await Promise.all([one, other, third].map(({ url }) => textsIn(url)));
    // What is still connected to it does not keep it.
    await Promise.all([one.drop(), other.drop(), third.drop()]);
    await module.close();

    expect(texts).toEqual([['seed', 'mine'], ['seed'], ['seed']]);
    expect(migrated).toBe(1);
    expect(await namesOf(keyOf(one))).toEqual([expect.stringMatching(/^session_testing_template_/)]);
  });

  it('has a template for each version, schema and way to make it', async () => {
    const made = [
      await make(),
      await make({ version: `${version}, again` }),
      await make({ orm: ormOptions(server.url, { entities: [Note, Owner, Pet] }) }),
      await make({
        migrate: async (orm) => {
          await orm.schema.create();
        },
      }),
      await make({ orm: { ...options, migrations: { path: import.meta.dirname } } }),
      await make({
        orm: { ...options, migrations: { migrationsList: [{ name: 'first', class: class First {} as never }] } },
      }),
    ];

    expect(new Set(made.map(keyOf)).size).toBe(6);
  });

  it('makes the template anew whose maker has crashed', async () => {
    const made = await make();
    await made.drop();
    const [template = ''] = await namesOf(keyOf(made));
    await server.query(`drop database "${template}"`);
    await server.query(`create database "${template}"`);

    const again = await make();

    expect(template).toMatch(/_template_/);
    expect(await textsIn(again.url)).toEqual(['seed']);
    expect(migrated).toBe(2);
  });

  it('leaves no template when it cannot be made', async () => {
    let template = '';
    const failing: Migrate = (orm) => {
      template = orm.config.get('dbName') ?? '';
      throw new Error('no such table');
    };

    await expect(SessionTesting.database({ orm: options, migrate: failing, version })).rejects.toThrow('no such table');

    expect(template).toMatch(/_template_/);
    expect(await server.query('select from pg_database where datname = $1', [template])).toEqual([]);
  });

  it('drops what earlier runs have left, and nothing else', async () => {
    const key = randomBytes(4).toString('hex');
    keys.add(key);
    const used = cloneOf(key, NO_PID, Date.now());
    const alive = cloneOf(key, process.pid, Date.now() - 2 * DAY_MS);
    const elsewhere = cloneOf(key, NO_PID, Date.now(), 'ffffff');
    const kept = [alive, elsewhere, used, `session_testing_${key}_of_somebody_else`];
    const template = `session_testing_template_${key}${key}`;
    const dropped = [cloneOf(key, NO_PID, Date.now()), cloneOf(key, 1, Date.now() - 2 * DAY_MS, 'ffffff'), template];
    for (const name of [...kept, ...dropped]) {
      await server.query(`create database "${name}"`);
    }
    await server.query(`comment on database "${template}" is '2026-01-01'`);
    const url = new URL(server.url);
    url.pathname = used;
    const client = new Client(url.href);
    await client.connect();

    await make();

    await client.end();
    expect(await namesOf(key)).toEqual(kept.toSorted());
  });

  it('says what is missing to one who may not make databases', async () => {
    const role = `nobody_${randomBytes(4).toString('hex')}`;
    await server.query(`create role ${role} login password 'secret'`);
    const url = new URL(server.url);
    [url.username, url.password] = [role, 'secret'];

    await expect(
      SessionTesting.database({ orm: ormOptions(url.href), migrate: () => undefined, version }),
    ).rejects.toThrow(`the user "${role}" may not. Let an administrator run: alter role "${role}" createdb`);
    await server.query(`drop role ${role}`);
  });

  it('refuses other databases, production, and options that it does not know', async () => {
    const { env } = process;
    const before = env['NODE_ENV'];
    const orm = { driver: SqliteDriver, dbName: ':memory:', entities: [Note] };

    await expect(SessionTesting.database({ orm, migrate: () => undefined })).rejects.toThrow(
      /cannot make databases with the driver "SqliteDriver" as it is configured/,
    );
    await expect(SessionTesting.database({ orm: options, migrate, versoin: '1' } as never)).rejects.toThrow(
      /SessionTesting.database\(\) has no option `versoin`/,
    );
    env['NODE_ENV'] = 'production';
    const made = SessionTesting.database({ orm: options, migrate });
    env['NODE_ENV'] = before;
    await expect(made).rejects.toThrow(/does not start where NODE_ENV is "production"/);
  });

  it('touches nothing where the options of the driver lead elsewhere', async () => {
    const orm = { ...options, driverOptions: { database: new URL(server.url).pathname.slice(1) } };

    await expect(SessionTesting.database({ orm, migrate, version })).rejects.toThrow(
      /wanted to migrate the database "session_testing_template_\w+", but MikroORM connected to "mikro_session_test_/,
    );

    expect(migrated).toBe(0);
  });
});
