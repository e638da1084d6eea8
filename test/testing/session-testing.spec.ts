import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, SessionFactory } from 'nestjs-mikro-session';
import { SessionTesting } from 'nestjs-mikro-session/testing';

import { injections, platforms, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { fetchNames, OwnersService, postName, startTestingApp } from './testing-app.js';
import { Owner } from './testing.entities.js';

describe.each(platforms.flatMap((platform) => injections.map((injection) => [platform, injection] as const)))(
  'SessionTesting, %s, %s injection',
  (platform, injection) => {
    let database: TestDatabase;
    let app: TestApp;
    let testing: SessionTesting<EntityManager>;

    beforeAll(async () => {
      database = await createTestDatabase();
      app = await startTestingApp({ databaseUrl: database.url, platform, session: { injection } });
      testing = await SessionTesting.create<EntityManager>(app.app);
    });

    afterAll(async () => {
      await app.app.close();
      await database.drop();
    });

    beforeEach(() => testing.begin());

    afterEach(async () => {
      await testing.rollBack();
      // Nothing is ever there for others, whatever a test did.
      expect(await database.query('select name from owner')).toEqual([]);
    });

    it('lets a request see what the test has committed, and the test what a request has', async () => {
      await testing.run(async (session) => session.create(Owner, { name: 'Ada' }));

      expect(await fetchNames(app)).toEqual(['Ada']);
      expect(await postName(app, 'Ben')).toBe(201);
      expect(await testing.run((session) => session.count(Owner))).toBe(2);
      expect(await database.query('select name from owner')).toEqual([]);
    });

    it('leaves nothing to the next test', async () => {
      expect(await fetchNames(app)).toEqual([]);
    });

    it('keeps a unique constraint that a request ran into from ending the test', async () => {
      expect(await postName(app, 'Ada')).toBe(201);
      expect(await postName(app, 'Ada')).toBe(409);
      expect(await postName(app, 'Ben')).toBe(201);
      expect(await fetchNames(app)).toEqual(['Ada', 'Ben']);
    });

    it('serves requests that run side by side', async () => {
      const names = Array.from({ length: 20 }, (_, nth) => `owner ${String(nth).padStart(2, '0')}`);

      const statuses = await Promise.all(names.map((name) => postName(app, name)));

      expect(statuses).toEqual(names.map(() => 201));
      expect(await fetchNames(app)).toEqual(names);
    });

    it('serves jobs that run side by side, each with a transaction of its own', async () => {
      const jobs = app.get<JobService<EntityManager>>(JobService);

      const outcomes = await jobs.settle(
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        async (session, input) => {
          session.create(Owner, { name: `owner ${input}` });
          await session.flush();
          if (input % 3 === 0) {
            throw new Error('no third one');
          }
          return session.count(Owner);
        },
        { concurrency: 8 },
      );

      expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(4);
      expect(await testing.run((session) => session.count(Owner))).toBe(8);
    });

    it('fails a request at once that waits for itself', async () => {
      const answer = await (await fetch(`${app.url}/owners/nested`)).text();

      expect(answer).toMatch(/SessionPoolDeadlockError: .*commit it before, since all sessions of a test share one/);
    });

    it('gives a service whose methods run in a scope', async () => {
      const owners = await testing.resolve(OwnersService);

      await owners.add('Ada');

      expect(await owners.names()).toEqual(['Ada']);
      expect(await fetchNames(app)).toEqual(['Ada']);
    });

    it('gives each session an identity map of its own', async () => {
      await testing.run(async (session) => session.create(Owner, { name: 'Ada' }));
      const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);

      const [one, other] = await Promise.all(
        [0, 1].map(() => factory.run((session) => session.findOneOrFail(Owner, { name: 'Ada' }))),
      );

      expect(one).not.toBe(other);
    });
  },
);
