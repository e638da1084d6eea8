import type { EntityManager } from '@mikro-orm/postgresql';
import { SessionRegistry } from 'nestjs-mikro-session';
import type { SessionTesting } from 'nestjs-mikro-session/testing';

import { backends } from '../background/queue-backends.js';
import { CapturedLog } from '../support/captured-log.js';
import { noLiveScope } from '../support/no-live-scope.js';
import { Note } from '../support/note.entity.js';
import { injections, platforms } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { Desk, type Place, places as allPlaces } from './places.js';
import { type PlacesApp, startPlacesApp } from './places-app.js';

const WHERE = 'select pg_backend_pid() as pid, pg_current_xact_id()::text as transaction';

/** Writes a note in a transaction, and fails after that where the text says so. */
async function write(session: EntityManager, text: string): Promise<string> {
  return session.transactional(async (inner) => {
    inner.create(Note, { text });
    await inner.flush();
    if (text.startsWith('fail')) {
      throw new Error('on purpose');
    }
    return text;
  });
}

/** What the platform makes a difference for. */
const overHttp: readonly Place[] = ['request', 'operation of GraphQL'];

const cases = platforms.flatMap((platform) =>
  injections.map((injection) => ({ platform, injection, places: platform === 'express' ? allPlaces : overHttp })),
);

describe.each(cases)('SessionTesting on $platform, $injection injection', ({ platform, injection, places }) => {
  let database: TestDatabase;
  let app: PlacesApp;
  let testing: SessionTesting<EntityManager>;
  let desk: Desk;
  let log: CapturedLog;

  beforeAll(async () => {
    database = await createTestDatabase();
    log = new CapturedLog();
    const options = { databaseUrl: database.url, platform, session: { injection } };
    // The first one is Redis, where there is one.
    app = await startPlacesApp(options, backends[0] ?? 'postgresql');
    testing = app.testing;
    desk = app.get(Desk);
  });

  afterAll(async () => {
    await app.close();
    log[Symbol.dispose]();
    await database.drop();
  });

  beforeEach(() => testing.begin());

  afterEach(async () => {
    await testing.rollBack();
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
    // Nothing is ever there for others, whatever a test did.
    expect(await database.query(`select text from note union all select name from pgboss.job`)).toEqual([]);
    expect(
      await database.query(
        `select from pg_locks join pg_database on pg_database.oid = database
        where locktype = 'advisory' and datname = current_database()`,
      ),
    ).toEqual([]);
  });

  const texts = (): Promise<string[]> =>
    testing.run(async (session) =>
      (await session.find(Note, {}, { orderBy: { text: 'asc' } })).map(({ text }) => text),
    );

  describe.each(places)('%s', (place) => {
    it('works on the connection of the test, in its transaction', async () => {
      desk.work = async (session) => JSON.stringify(await session.execute(WHERE));

      const there = await app.call[place]('look');

      expect(JSON.parse(there)).toEqual(await testing.run((session) => session.execute(WHERE)));
    });

    it('sees what the test has committed, and commits for the test alone', async () => {
      await testing.run(async (session) => session.create(Note, { text: 'seed' }));
      desk.work = async (session, text) => `${await write(session, text)} ${await session.count(Note)}`;

      const answer = await app.call[place]('written');

      expect(answer).toBe('written 2');
      expect(await texts()).toEqual(['seed', 'written']);
      expect(await database.query('select from note')).toEqual([]);
    });

    it('rolls back what fails, and nothing else', async () => {
      desk.work = write;
      await app.call[place]('before');

      const [failed] = await Promise.allSettled([app.call[place]('fail')]);

      await app.call[place]('after');
      expect(failed.status).toBe('rejected');
      expect(await texts()).toEqual(['after', 'before']);
    });

    it.each([
      ['while a statement runs', 'select pg_sleep(60)'],
      ['while none does', undefined],
    ])('is ended where a test has not awaited it, %s', async (_when, statement) => {
      const begun = Promise.withResolvers<void>();
      const goOn = Promise.withResolvers<void>();
      desk.work = (session, text) =>
        session.transactional(async (inner) => {
          inner.create(Note, { text });
          await inner.flush();
          await inner.execute('select pg_advisory_lock(1)');
          begun.resolve();
          await (statement === undefined ? goOn.promise : inner.execute(statement));
          return text;
        });
      const forgotten = Promise.allSettled([app.call[place]('forgotten')]);
      await begun.promise;

      await testing.rollBack();

      goOn.resolve();
      const [outcome] = await forgotten;
      await noLiveScope(app);
      expect(outcome.status).toBe('rejected');
    });
  });

  it('serves them side by side', async () => {
    desk.work = write;

    // A drain runs all jobs that it finds, and not those of its caller alone.
    const together = places.filter((place) => place !== 'durable job');

    const outcomes = await Promise.allSettled(
      together.flatMap((place) => [app.call[place](place), app.call[place](`fail ${place}`)]),
    );

    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(together.length);
    expect(await texts()).toEqual(together.toSorted());
  });
});
