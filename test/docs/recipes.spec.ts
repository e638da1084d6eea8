import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService } from 'nestjs-mikro-session';
import { ClsModule, ClsService } from 'nestjs-cls';

import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

describe('the examples that no other test runs', () => {
  let database: TestDatabase;
  let app: TestApp;
  let jobs: JobService<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url, imports: [ClsModule.forRoot({ global: true })] });
    jobs = app.get(JobService);
  });

  afterAll(async () => {
    await app.app.close();
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
    expect(await database.query('select text from note order by text')).toEqual([{ text: 'a' }, { text: 'c' }]);
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
