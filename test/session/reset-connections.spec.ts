import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, SessionFactory, type SessionModuleOptions } from 'nestjs-mikro-session';

import { catchPool } from '../support/catch-pool.js';
import { NetworkProxy } from '../support/network-proxy.js';
import { Note } from '../support/note.entity.js';
import { ROW_LEVEL_SECURITY } from '../support/row-level-security.js';
import { itSince } from '../support/since.js';
import { startTestApp, type TestApp, type TestAppOptions } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

type Reset = NonNullable<SessionModuleOptions['resetConnections']>;
type Row = Readonly<Record<string, unknown>>;

/** What a session can leave on a connection. */
const STATE = `
  select current_setting('search_path') as search_path, current_setting('role') as role, current_setting('timezone') as zone,
    current_setting('default_transaction_read_only') as read_only, coalesce(current_setting('app.tenant', true), '') as tenant,
    (select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks,
    (select count(*)::int from pg_listening_channels()) as channels,
    (select count(*)::int from pg_prepared_statements) as prepared,
    (select count(*)::int from pg_cursors) as cursors,
    (select count(*)::int from pg_class where relnamespace = pg_my_temp_schema() and relkind = 'r') as temporary
`;

const CHANGES: readonly string[] = [
  'set search_path to public',
  'SET  Search_Path = public',
  '/* of a tenant */ set search_path to public',
  '-- of a tenant\nset search_path to public',
  'select 1; set search_path to public',
  'set session search_path to public',
  'set role pg_monitor',
  'set session authorization default; set role pg_monitor',
  "set time zone 'Asia/Tokyo'",
  'set session characteristics as transaction read only',
  'select pg_advisory_lock(1)',
  'select pg_try_advisory_lock_shared(1)',
  'with one as (select pg_advisory_lock(1)) select * from one',
  'listen news',
  'create temporary table scratch (id int)',
  'CREATE TEMP TABLE scratch (id int)',
  'create table pg_temp.scratch (id int)',
  'select 1 as id into temp scratch',
  'prepare one as select 1',
  "select set_config('app.tenant', 'a', false)",
  "select set_config('app.tenant', 'a', false), set_config('app.tenant', 'b', true)",
  "do $$ begin set app.tenant = 'a'; end $$",
];

const PASSING: readonly string[] = [
  "set local app.tenant = 'a'",
  'set transaction read only',
  'set constraints all deferred',
  "select set_config('app.tenant', 'a', true)",
  'select pg_advisory_xact_lock(1)',
  "select 'set search_path to public; listen news'",
  'update note set text = text',
  'select 1 as temp',
];

describe('the option `resetConnections`', () => {
  let database: TestDatabase;
  let network: NetworkProxy;
  let apps: TestApp[];

  beforeAll(async () => {
    database = await createTestDatabase();
    network = await NetworkProxy.start(database.url);
    apps = [];
  });

  afterAll(async () => {
    await Promise.all(apps.map(({ app }) => app.close()));
    await network.close();
    await database.drop();
  });

  const start = async (
    resetConnections?: Reset,
    orm: TestAppOptions['orm'] = {},
  ): Promise<{ app: TestApp; factory: SessionFactory<EntityManager> }> => {
    const app = await startTestApp({
      databaseUrl: network.url,
      session: resetConnections === undefined ? {} : { resetConnections },
      orm: {
        pool: { min: 0, max: 1 },
        ...orm,
        driverOptions: { options: '-c search_path=public,pg_catalog', ...orm.driverOptions },
      },
    });
    apps.push(app);
    return { app, factory: app.get(SessionFactory) };
  };

  const stateOf = async (factory: SessionFactory<EntityManager>): Promise<Row | undefined> =>
    (await factory.run((session) => session.execute<Row[]>(STATE)))[0];

  const pidOf = async (factory: SessionFactory<EntityManager>): Promise<unknown> =>
    (await factory.run((session) => session.execute<Row[]>('select pg_backend_pid() as pid')))[0]?.['pid'];

  const ways: Record<string, (factory: SessionFactory<EntityManager>, sql: string) => Promise<unknown>> = {
    'in a transaction': (factory, sql) => factory.begin((session) => session.execute(sql)),
    'outside of one': (factory, sql) => factory.run((session) => session.execute(sql)),
    'in a savepoint': (factory, sql) =>
      factory.begin((session) => session.transactional((inner) => inner.execute(sql))),
  };

  describe.each(Object.entries(ways))('lets the next session not meet what one did %s', (_name, change) => {
    let factory: SessionFactory<EntityManager>;
    let before: Row | undefined;
    let pid: unknown;

    beforeAll(async () => {
      ({ factory } = await start());
      before = await stateOf(factory);
      pid = await pidOf(factory);
    });

    it.each(CHANGES)('by "%s"', async (sql) => {
      await change(factory, sql);

      expect(await stateOf(factory)).toEqual(before);
      expect(await pidOf(factory)).toBe(pid);
    });
  });

  it('covers a job, a query builder of Kysely, and a session that fails', async () => {
    const { app, factory } = await start();
    const before = await stateOf(factory);
    const jobs = app.get<JobService<EntityManager>>(JobService);

    await jobs.map([1], (session) => session.execute('set search_path to public'));
    const afterJob = await stateOf(factory);
    await factory.run((session) =>
      session
        .getKysely()
        .selectNoFrom((eb) =>
          eb
            .fn(
              'set_config',
              ['app.tenant', 'a', false].map((value) => eb.val(value)),
            )
            .as('tenant'),
        )
        .execute(),
    );
    const afterKysely = await stateOf(factory);
    await factory
      .begin(async (session) => {
        await session.execute('select pg_advisory_lock(1)');
        throw new Error('on purpose');
      })
      .catch(() => undefined);

    expect([afterJob, afterKysely, await stateOf(factory)]).toEqual([before, before, before]);
  });

  it('costs nothing where a session changed nothing of its connection', async () => {
    const { factory } = await start();
    await pidOf(factory);

    for (const sql of PASSING) {
      const from = network.answers;
      await factory.begin((session) => session.execute(sql));
      expect([sql, network.answers - from]).toEqual([sql, 2]);
    }
  });

  it('resets after each session with `always`, whatever a function has done', async () => {
    const { factory } = await start('always');
    await database.query(
      `create or replace function sneak() returns void language sql as $$ select set_config('app.tenant', 'a', false) $$`,
    );
    const before = await stateOf(factory);
    const from = network.answers;

    await factory.begin((session) => session.execute('select sneak()'));
    const after = await stateOf(factory);

    expect(after).toEqual(before);
    // BEGIN with the statement, COMMIT, and the reset; the look; the reset after it may be on its way.
    expect(network.answers - from).toBeGreaterThanOrEqual(4);
  });

  it('resets nothing with `never`', async () => {
    const { factory } = await start('never');

    await factory.begin((session) => session.execute('set search_path to public'));

    expect(await stateOf(factory)).toMatchObject({ search_path: 'public' });
  });

  it.each(['changed', 'always'] as const)('keeps with `%s` what sets a connection up', async (reset) => {
    const { factory } = await start(reset, {
      onCreateConnection: (connection) =>
        (connection as Connection).executeQuery({ sql: `set time zone 'Asia/Tokyo'`, parameters: [] }),
      driverOptions: {
        onPoolCreated: (pool: { on(event: 'connect', listener: (client: Client) => void): unknown }) => {
          pool.on('connect', (client) => void client.query(`select set_config('app.tenant', $1, false)`, ['first']));
        },
      },
    });
    const pid = await pidOf(factory);

    await factory.begin((session) => session.execute(`set time zone 'UTC'; set app.tenant = 'other'`));

    expect(await stateOf(factory)).toMatchObject({ zone: 'Asia/Tokyo', tenant: 'first' });
    expect(await pidOf(factory)).toBe(pid);
  });

  it('loses what the option `onConnect` of the pool has set', async () => {
    const { factory } = await start('changed', {
      driverOptions: { onConnect: (client: Client) => client.query(`set app.tenant = 'first'`, []) },
    });
    const before = await stateOf(factory);

    await factory.begin((session) => session.execute(`set app.tenant = 'other'`));

    expect(before).toMatchObject({ tenant: 'first' });
    expect(await stateOf(factory)).toMatchObject({ tenant: '' });
  });

  itSince('@mikro-orm/core', ROW_LEVEL_SECURITY)(
    'does not take what MikroORM sets for each session for a change',
    async () => {
      const { factory } = await start('changed', { sessionContext: 'connection' });
      const fork = { session: { variables: { 'app.tenant': 'a' } } };
      await pidOf(factory);
      const from = network.answers;

      const [row] = await factory.run((session) => session.execute<Row[]>(STATE), { fork });
      const answers = network.answers - from;

      expect(row).toMatchObject({ tenant: 'a' });
      expect(await stateOf(factory)).toMatchObject({ tenant: '' });
      // RESET ALL, the variables, RESET ROLE, and the look.
      expect(answers).toBe(4);
    },
  );

  it('closes a connection that does not answer to the reset', async () => {
    const { factory } = await start();
    const pid = await pidOf(factory);
    const isOver = Promise.withResolvers<void>();
    void network.once('statement', /^close all/, () => isOver.promise);

    await factory.begin((session) => session.execute('set search_path to public'));
    const next = await pidOf(factory);
    isOver.resolve();

    expect(next).not.toBe(pid);
  });

  it('lets the application close while a connection is reset', async () => {
    const { app, factory } = await start();
    const isClosing = Promise.withResolvers<void>();
    const isReached = network.once('statement', /^close all/, () => isClosing.promise);

    await factory.begin((session) => session.execute('listen news'));
    const closing = app.close();
    isClosing.resolve();

    await expect(Promise.all([closing, isReached])).resolves.toHaveLength(2);
    apps.splice(apps.indexOf(app), 1);
  });

  it('lets prepared statements of node-postgres be prepared anew', async () => {
    const caught = catchPool();
    const { factory } = await start(undefined, caught.options);
    const pool = await caught.pool;
    const named = { name: 'one', text: 'select 1 as one' };

    await pool.query(named);
    await factory.begin((session) => session.execute('listen news'));
    const { rows } = await pool.query(named);

    expect(rows).toEqual([{ one: 1 }]);
    expect(await factory.run((session) => session.count(Note))).toBe(0);
  });
});

interface Connection {
  executeQuery(query: { readonly sql: string; readonly parameters: readonly unknown[] }): Promise<void>;
}

interface Client {
  query(text: string, values: readonly unknown[]): Promise<unknown>;
}
