import type { EntityManager } from '@mikro-orm/postgresql';
import { SessionFactory } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const VARIABLE = 'MIKRO_ORM_COLORS';

describe('the permission of the global context that MikroORM gives for the time of a fork', () => {
  let database: TestDatabase;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url });
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  it('does not write to the environment of the process', async () => {
    const before = process.env[VARIABLE];
    delete process.env[VARIABLE];

    app.orm.em.fork();
    await app.get<SessionFactory<EntityManager>>(SessionFactory).run((session) => session.count(Note));
    const written = process.env[VARIABLE];
    process.env[VARIABLE] = before;

    expect([before, written]).toEqual([expect.any(String), undefined]);
  });

  it('ends with the fork', () => {
    const { config } = app.orm;

    app.orm.em.fork();

    expect(config.get('allowGlobalContext')).toBe(false);
  });

  it('can be given for good, as every other option can be changed', () => {
    const { config } = app.orm;

    config.set('allowGlobalContext', true);
    config.set('debug', true);
    const after = [config.get('allowGlobalContext'), config.get('debug'), config.getLogger().isEnabled('query')];
    config.set('allowGlobalContext', false);
    config.set('debug', false);

    expect(after).toEqual([true, true, true]);
  });
});
