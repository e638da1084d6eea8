import { setTimeout as delay } from 'node:timers/promises';

import type { EntityManager } from '@mikro-orm/postgresql';
import { CommitUnknownError, ConnectionLostError, SessionFactory } from 'nestjs-mikro-session';

import type { Direction, NetworkLink } from '../support/network-link.js';
import { NetworkProxy } from '../support/network-proxy.js';
import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const INTERVAL_MS = 5_000;
/** A server that is out of reach is given up after four. */
const MORE_THAN_SUFFICE = 6;
const REAL = [
  'Date',
  'hrtime',
  'nextTick',
  'queueMicrotask',
  'setImmediate',
  'clearImmediate',
  'setTimeout',
  'clearTimeout',
] as const;

describe('an answer that the network has lost, where nothing sets a limit', () => {
  let database: TestDatabase;
  let network: NetworkProxy;
  let app: TestApp;
  let factory: SessionFactory<EntityManager>;

  beforeAll(async () => {
    import.meta.jest.useFakeTimers({ doNotFake: [...REAL] });
    database = await createTestDatabase();
  });

  beforeEach(async () => {
    network = await NetworkProxy.start(database.url);
    app = await startTestApp({ databaseUrl: network.url, orm: { pool: { min: 0, max: 3 } } });
    await database.query(`insert into note (text) select 'row' from generate_series(1, 300)`);
    factory = app.get(SessionFactory);
  });

  afterEach(async () => {
    await app.close();
    await network.close();
  });

  afterAll(async () => {
    import.meta.jest.useRealTimers();
    await database.drop();
  });

  /** Lets the time pass in which the statements without an answer are looked at, until `work` has settled. */
  const whileTimePasses = async <Result>(work: Promise<Result>): Promise<Result> => {
    const settled = new AbortController();
    const settle = (): void => settled.abort();
    work.then(settle, settle);
    while (!settled.signal.aborted) {
      import.meta.jest.advanceTimersByTime(INTERVAL_MS);
      await delay(25);
    }
    return work;
  };

  const nextLink = (text: RegExp, act: (link: NetworkLink) => void): Promise<NetworkLink> =>
    network.once('statement', text, act);

  const add = async (session: EntityManager): Promise<void> => {
    session.create(Note, { text: 'lost' });
    await session.flush();
  };

  const works: Record<string, { readonly at: RegExp; readonly work: (session: EntityManager) => Promise<unknown> }> = {
    BEGIN: { at: /^begin/, work: (session) => session.execute('select 1') },
    'a statement': { at: /select 7/, work: (session) => session.execute('select 7') },
    'a flush': { at: /\binsert/, work: add },
  };
  const directions: readonly Direction[] = ['statements', 'answers'];

  describe.each(directions)('(%s are lost)', (direction) => {
    it.each(Object.entries(works))('fails %s, and frees its place in the pool', async (_name, { at, work }) => {
      void nextLink(at, (link) => link.swallow(direction));

      const lost = factory.begin(work);

      await expect(whileTimePasses(lost)).rejects.toThrow(ConnectionLostError);
      await Promise.all([1, 2, 3].map(() => factory.begin((session) => session.execute('select pg_sleep(0.1)'))));
    });

    it('makes a commit unknown', async () => {
      void nextLink(/^commit/, (link) => link.swallow(direction));

      const lost = factory.begin(add);

      await expect(whileTimePasses(lost)).rejects.toThrow(CommitUnknownError);
    });
  });

  it('fails a stream, and frees its place in the pool', async () => {
    void nextLink(/from "note"/, (link) => link.swallow('answers'));

    const lost = factory.begin((session) => Array.fromAsync(session.stream(Note)));

    await expect(whileTimePasses(lost)).rejects.toThrow(ConnectionLostError);
    await Promise.all([1, 2, 3].map(() => factory.begin((session) => session.execute('select pg_sleep(0.1)'))));
  });

  it('fails all of them when the server cannot be reached for long', async () => {
    const asked = nextLink(/select 7/, () => network.swallow());
    const lost = factory.begin((session) => session.execute('select 7'));
    await asked;

    await expect(whileTimePasses(lost)).rejects.toThrow('does not answer, not on a new connection either');
    await network.heal();
    await expect(factory.begin((session) => session.count(Note))).resolves.toBeGreaterThan(0);
  });

  it('fails a statement of which the server does not know any more', async () => {
    const asked = nextLink(/select 7/, (link) => link.swallow());
    const lost = factory.begin(async (session) => {
      await session.execute('select 1');
      await session.execute('select 7');
    });
    await asked;
    await database.query(`select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle in transaction'
      and datname = current_database()`);

    await expect(whileTimePasses(lost)).rejects.toThrow('its server does not know it any more');
  });

  it('is not taken for that of a statement that takes long', async () => {
    const slow = factory.begin((session) => session.execute('select 7 as seven from pg_sleep(2)'));

    await expect(whileTimePasses(slow)).resolves.toEqual([{ seven: 7 }]);
  });

  it('is not taken for that of a statement that waits for a lock', async () => {
    const held = Promise.withResolvers<void>();
    const holder = factory.begin(async (session) => {
      await session.execute('select pg_advisory_xact_lock(7)');
      held.resolve();
      await delay(1_000);
    });
    await held.promise;

    const waiter = factory.begin((session) => session.execute('select 7 as seven, pg_advisory_xact_lock(7)'));

    await expect(whileTimePasses(waiter)).resolves.toMatchObject([{ seven: 7 }]);
    await holder;
  });

  it('is not taken for that of a statement that keeps a pooler from answering to the question', async () => {
    // A pooler whose connections are all taken lets clients in, and lets their statements wait.
    const asked = Promise.withResolvers<void>();
    let questions = 0;
    network.each('statement', /pg_stat_activity/, (link) => {
      link.swallow();
      questions += 1;
      if (questions === MORE_THAN_SUFFICE) {
        asked.resolve();
      }
    });
    const held = Promise.withResolvers<void>();
    const holder = factory.begin(async (session) => {
      await session.execute('select pg_advisory_xact_lock(7)');
      held.resolve();
      await asked.promise;
    });
    await held.promise;

    const waiter = factory.begin((session) => session.execute('select 7 as seven, pg_advisory_xact_lock(7)'));

    await expect(whileTimePasses(waiter)).resolves.toMatchObject([{ seven: 7 }]);
    await holder;
  });

  it('is not taken for that of a stream that nobody reads for long', async () => {
    const slow = factory.run(async (session) => {
      let rows = 0;
      for await (const _row of session.stream(Note)) {
        rows += 1;
        if (rows === 1) {
          await delay(500);
        }
      }
      return rows;
    });

    await expect(whileTimePasses(slow)).resolves.toBeGreaterThanOrEqual(300);
  });
});
