import type { EntityManager } from '@mikro-orm/postgresql';
import { NoActiveSessionError, SessionContext, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

describe('two applications in one process', () => {
  let databases: TestDatabase[];
  let apps: TestApp[];

  beforeAll(async () => {
    databases = [await createTestDatabase(), await createTestDatabase()];
    apps = await Promise.all(databases.map(({ url }) => startTestApp({ databaseUrl: url })));
  });

  afterAll(async () => {
    await Promise.all(apps.map(({ app }) => app.close()));
    await Promise.all(databases.map((database) => database.drop()));
  });

  it('do not see the scopes, sessions and transactions of each other', async () => {
    const [one, two] = apps as [TestApp, TestApp];
    const factoryOf = (app: TestApp): SessionFactory<EntityManager> => app.get(SessionFactory);

    await factoryOf(one).run((session) =>
      session.transactional(async (inner) => {
        inner.create(Note, { text: 'one' });
        await inner.flush();

        expect(two.get<SessionContext>(SessionContext).tryCurrent).toBeUndefined();
        expect(two.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
        expect(() => two.orm.em.clear()).toThrow(NoActiveSessionError);
        await factoryOf(two).begin(async (other) => {
          expect(await two.orm.em.count(Note)).toBe(0);
          expect(session.id).toBe(inner.id);
          expect(await one.orm.em.count(Note)).toBe(1);
          expect(one.get<SessionContext>(SessionContext).current.id).toBe(inner.id);
          other.create(Note, { text: 'two' });
        });
      }),
    );

    expect(await databases[0]!.query('select text from note')).toEqual([{ text: 'one' }]);
    expect(await databases[1]!.query('select text from note')).toEqual([{ text: 'two' }]);
  });
});
