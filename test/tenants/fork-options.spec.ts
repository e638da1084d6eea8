import { EntityManager } from '@mikro-orm/postgresql';
import { SessionFactory } from 'nestjs-mikro-session';

import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

describe('fork options from several places', () => {
  let database: TestDatabase;
  let app: TestApp;
  let factory: SessionFactory<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      session: {
        fork: ({ info }) => ({
          schema: 'public',
          session: { variables: { 'app.tenant': info['tenant'] as string } },
          filterParams: { tenant: { tenant: info['tenant'] } },
        }),
      },
    });
    factory = app.get(SessionFactory);
    factory.configure({ fork: { filterParams: { first: { n: 1 } } } });
    factory.configure({ fork: { filterParams: { second: { n: 2 } } } });
  });

  afterAll(async () => {
    await app.app.close();
    await database.drop();
  });

  it('add up where they say something of the tenant, and replace each other elsewhere', async () => {
    const seen = await factory.run(
      (session) => ({
        schema: session.schema,
        context: session.getSessionContext(),
        params: ['tenant', 'first', 'second', 'third'].map((name) => session.getFilterParams(name)),
      }),
      {
        info: { tenant: 'a' },
        fork: { schema: 'other', session: { role: 'reader' }, filterParams: { third: { n: 3 } } },
      },
    );

    expect(seen).toEqual({
      schema: 'other',
      context: { role: 'reader', variables: { 'app.tenant': 'a' } },
      params: [{ tenant: 'a' }, { n: 1 }, { n: 2 }, { n: 3 }],
    });
  });

  it('are refused when one of them has no value, whoever gave it', async () => {
    const running = factory.run(() => undefined, { info: { tenant: 'a' }, fork: { schema: undefined as never } });

    await expect(running).rejects.toThrow(
      'Expected `fork.schema` to have a value in "SessionFactory.run", got `undefined`. The `info` of that scope is { tenant: \'a\' }',
    );
  });
});
