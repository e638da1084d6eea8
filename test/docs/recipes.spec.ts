import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService } from 'nestjs-mikro-session';
import { SessionTesting } from 'nestjs-mikro-session/testing';
import { ClsModule, ClsService } from 'nestjs-cls';

import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

describe('the examples that no other test runs', () => {
  let database: TestDatabase;
  let app: TestApp;
  let jobs: JobService<EntityManager>;
  let testing: SessionTesting<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url, imports: [ClsModule.forRoot({ global: true })] });
    jobs = app.get(JobService);
    testing = await SessionTesting.create<EntityManager>(app.app);
  });

  beforeEach(() => testing.begin());

  afterEach(() => testing.rollBack());

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  it('streams outcomes', async () => {
    const seen: string[] = [];

    const outcomes = jobs.stream(['a', 'b', 'c'], (session, text) => {
      session.create(Note, { text });
      if (text === 'b') {
        throw new Error('no b');
      }
    });

    for await (const { index, status } of outcomes) {
      seen.push(`${index} ${status}`); // '1 rejected', and its note rolled back
    }

    expect(seen).toEqual(['0 fulfilled', '1 rejected', '2 fulfilled']);
    const notes = await testing.run((session) => session.find(Note, {}, { orderBy: { text: 'asc' } }));
    expect(notes.map(({ text }) => text)).toEqual(['a', 'c']);
  });

  it('finds the context of nestjs-cls in jobs', async () => {
    const cls = app.get<ClsService>(ClsService);

    const users = await cls.run(async () => {
      cls.set('user', 'Ann');
      const users = await jobs.map([1, 2], () => cls.get('user')); // the user of this request, twice
      return users;
    });

    expect(users).toEqual(['Ann', 'Ann']);
  });
});
