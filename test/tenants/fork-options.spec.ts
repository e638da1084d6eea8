import { EntityManager } from '@mikro-orm/postgresql';
import { type SessionForkOptions, SessionFactory, SessionModule } from 'nestjs-mikro-session';

import { ROW_LEVEL_SECURITY } from '../support/row-level-security.js';
import { describeBefore, describeSince } from '../support/since.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

describeSince('@mikro-orm/core', ROW_LEVEL_SECURITY)('fork options from several places', () => {
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
    await app.close();
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

  describe.each([
    ['fork.schema', [undefined, null, '', ' ', '*', ['a', 'b'], 7], (schema: unknown) => ({ schema })],
    [
      'fork.filterParams.first.n',
      [undefined, null, NaN, new Date(NaN)],
      (n: unknown) => ({ filterParams: { first: { n } } }),
    ],
    ['fork.filterParams.first', [undefined, null, 'a', ['a']], (first: unknown) => ({ filterParams: { first } })],
    ['fork.filterParams', [null, 'a', Promise.resolve({})], (filterParams: unknown) => ({ filterParams })],
    [
      'fork.session.variables.app.tenant',
      [undefined, null, {}, ['a']],
      (value: unknown) => ({ session: { variables: { 'app.tenant': value } } }),
    ],
    ['fork.session.role', [undefined, null, '', ' '], (role: unknown) => ({ session: { role } })],
    ['fork.session', [null, 'a'], (session: unknown) => ({ session })],
    ['fork', [null, 'a', Promise.resolve({ schema: 'a' })], (fork: unknown) => fork],
  ] as const)('whose `%s` says nothing of the tenant', (path, values, create) => {
    it.each(values.map((value) => ({ value: value as unknown })))(
      'are refused everywhere: $value',
      async ({ value }) => {
        const fork = create(value) as SessionForkOptions;
        const options = { info: { tenant: 'a' }, fork };
        const refusal = new RegExp(`^Expected \`${path.replaceAll('.', '\\.')}\` to `);

        await expect(factory.run(() => undefined, options)).rejects.toThrow(refusal);
        await expect(factory.begin(() => undefined, options)).rejects.toThrow(refusal);
        expect(() => factory.create(options)).toThrow(refusal);
        expect(() => factory.configure({ fork })).toThrow(refusal);
        expect(() => SessionModule.forRoot({ fork })).toThrow(refusal);
      },
    );
  });

  it.each([
    ['an option that is not known', { shema: 'a' }, 'Expected `fork` to have no `shema`, but schema, '],
    ['what would tie a session to something else', { useContext: true }, 'Expected `fork` to have no `useContext`'],
    ['a setting that is not known', { session: { rol: 'a' } }, 'Expected `fork.session` to have no `rol`'],
  ])('are refused with %s', async (_what, fork, message) => {
    const running = factory.run(() => undefined, { info: { tenant: 'a' }, fork: fork as SessionForkOptions });

    await expect(running).rejects.toThrow(message);
  });
});

describeBefore('@mikro-orm/core', ROW_LEVEL_SECURITY)('fork options that MikroORM does not know', () => {
  it.each([{ role: 'tenant' }, { variables: { 'app.tenant': 'a' } }])('are refused: %p', async (session) => {
    const database = await createTestDatabase();
    const app = await startTestApp({ databaseUrl: database.url });
    const running = app.get<SessionFactory>(SessionFactory).run(() => undefined, { fork: { session } });

    await expect(running).rejects.toThrow(
      'Expected `fork.session` to be left out, because MikroORM ignores it before 7.2',
    );
    await app.close();
    await database.drop();
  });
});
