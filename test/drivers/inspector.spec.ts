import { SessionHealthIndicator } from 'nestjs-mikro-session';
import { SessionInspectorModule, type InspectorState } from 'nestjs-mikro-session/inspector';

import { Note } from '../support/note.entity.js';
import { poll } from '../support/poll.js';
import { type DriverApp, describeMariadb, otherDrivers, startDriverApp } from './support/driver-app.js';

async function start(driver: (typeof otherDrivers)[number]): Promise<DriverApp> {
  return startDriverApp(driver, {
    orm: { pool: { min: 0, max: 2 } },
    imports: [SessionInspectorModule.forRoot()],
  });
}

async function stateOf(app: DriverApp): Promise<InspectorState> {
  const response = await fetch(`${app.url}/sessions/state`);
  return (await response.json()) as InspectorState;
}

describe.each(['postgresql', ...otherDrivers] as const)('the inspector on %s', (driver) => {
  let app: DriverApp;
  const max = driver === 'sqlite' ? 1 : 2;
  /** With other drivers, a transaction takes its connection when it begins. */
  const beforeItsConnection = driver === 'postgresql' ? 'begun' : 'none';

  beforeAll(async () => {
    app = await start(driver);
  });

  afterAll(() => app.close());

  it('shows the pool: what is in use, what is idle, and who waits', async () => {
    const held = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    let arrived = 0;
    const hold = (): Promise<void> =>
      app.factory.begin(
        async (session) => {
          await session.count(Note);
          arrived += 1;
          if (arrived === max) {
            held.resolve();
          }
          await release.promise;
        },
        { label: 'holder' },
      );
    const holders = Array.from({ length: max }, hold);
    await held.promise;
    const waiter = app.factory.begin((session) => session.count(Note), { label: 'waiter' });
    await poll('one waits', async () => (await stateOf(app)).pools[0]?.waiting === 1);

    const full = await stateOf(app);
    release.resolve();
    await Promise.all([...holders, waiter]);
    const after = await stateOf(app);

    const connections = full.live.scopes.map(({ label, transaction, connections: ids, waitsFor }) => ({
      label,
      transaction,
      connections: ids.length,
      waitsFor,
    }));
    expect(full.pools).toMatchObject([{ name: 'default', max, size: max, idle: 0, inUse: max, waiting: 1 }]);
    expect(connections).toEqual([
      ...holders.map(() => ({ label: 'holder', transaction: 'open', connections: 1, waitsFor: undefined })),
      { label: 'waiter', transaction: beforeItsConnection, connections: 0, waitsFor: 'connection' },
    ]);
    expect(after.pools).toMatchObject([{ max, size: max, idle: max, inUse: 0, waiting: 0 }]);
    // Any of the last may be the very last: they commit on two connections.
    const waited = after.ended.find(({ label }) => label === 'waiter');
    expect(waited).toMatchObject({ outcome: 'committed' });
    expect(waited?.parts.map(([kind]) => kind)).toEqual(['waiting', 'transaction']);
  });

  it('tells the health check the same', async () => {
    await app.factory.run((session) => session.count(Note));

    const { sessions } = await app.get<SessionHealthIndicator>(SessionHealthIndicator).check('sessions');

    expect(sessions).toMatchObject({ status: 'up', pools: { default: { max, inUse: 0, waiting: 0 } } });
  });

  it('knows how each transaction ended', async () => {
    const note = { text: 'a' };

    await app.factory.begin((session) => void session.create(Note, note), { label: 'committed' });
    await app.factory
      .begin(
        async (session) => {
          await session.count(Note);
          throw new Error('no');
        },
        { label: 'failed' },
      )
      .catch(() => undefined);
    await app.factory.run(
      async (session) => {
        await session.begin();
        await session.count(Note);
        await session.rollback();
      },
      { label: 'rolled back' },
    );
    await app.factory.run((session) => session.count(Note), { label: 'none' });

    const { ended } = await stateOf(app);
    expect(ended.slice(-4).map(({ label, outcome }) => [label, outcome])).toEqual([
      ['committed', 'committed'],
      ['failed', 'failed'],
      ['rolled back', 'rolledBack'],
      ['none', 'done'],
    ]);
    expect(ended.slice(-4).map(({ parts }) => parts.filter(([kind]) => kind === 'transaction').length)).toEqual([
      1, 1, 1, 0,
    ]);
  });
});

describeMariadb('the inspector on mariadb', () => {
  let app: DriverApp;

  beforeAll(async () => {
    app = await start('mariadb');
  });

  afterAll(() => app.close());

  it('shows the statement that runs, without its values, and the process on the server', async () => {
    const running = app.factory.begin((session) => session.execute("select sleep(60), 'secret'"), { label: 'sleeper' });
    running.catch(() => undefined);
    const findSleeper = async (): Promise<number | undefined> => {
      const rows = await app.database.query<{ id: number }>(
        `select id from information_schema.processlist where info like 'select sleep%' and db = database()`,
      );
      return rows[0]?.id;
    };
    await poll('it sleeps', async () => (await findSleeper()) !== undefined);

    const id = await findSleeper();
    const { live } = await stateOf(app);
    await app.database.query(`kill ${id}`);

    await expect(running).rejects.toThrow('connection');
    expect(live.scopes).toMatchObject([
      {
        label: 'sleeper',
        transaction: 'open',
        connections: [Number(id)],
        waitsFor: 'statement',
        statement: 'select sleep(?), ?',
      },
    ]);
    expect((await stateOf(app)).pools).toMatchObject([{ inUse: 0, waiting: 0 }]);
  });
});
