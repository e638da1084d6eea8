import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, JobTimeoutError, SessionFactory } from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { describeMariadb } from './support/driver-app.js';
import { createOwnDialect } from './support/own-dialect.js';

describeMariadb('a dialect of the user on MariaDB', () => {
  let database: TestDatabase;
  let app: TestApp;
  let factory: SessionFactory<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase('mariadb');
    app = await startTestApp({
      databaseUrl: database.url,
      orm: { pool: { min: 0, max: 1 }, driverOptions: createOwnDialect(database.url) },
    });
    factory = app.get(SessionFactory);
  });

  beforeEach(() => database.query('delete from note'));

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  it('settings of a session do not meet the next one', async () => {
    await factory.run((session) => session.execute(`set @tenant = 'a'`));

    expect(await factory.run((session) => session.execute('select @tenant as tenant'))).toEqual([{ tenant: null }]);
  });

  it('the time-out of a job rolls back', async () => {
    const [outcome] = await app.get<JobService<EntityManager>>(JobService).settle(
      [1],
      async (session) => {
        await session.execute(`insert into note (text, tenant) values ('lost', 'a')`);
        await session.execute('select sleep(60)');
      },
      { timeout: 100 },
    );
    await factory.begin((session) => session.count(Note));

    expect(outcome).toMatchObject({ reason: expect.any(JobTimeoutError) });
    expect(await findTexts(database)).toEqual([]);
  });
});
