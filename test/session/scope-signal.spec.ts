import { JobService, SessionContext, SessionFactory } from 'nestjs-mikro-session';

import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

describe('the signal of a scope', () => {
  let database: TestDatabase;
  let app: TestApp;
  let factory: SessionFactory;
  let context: SessionContext;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url });
    factory = app.get(SessionFactory);
    context = app.get(SessionContext);
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  it('aborts in the blocks of a job that is cancelled', async () => {
    const cancel = new AbortController();

    const [outcome] = await app.get<JobService>(JobService).settle(
      [0],
      () =>
        factory.begin(() =>
          factory.run(() => {
            const { signal } = context.scope;
            cancel.abort();
            return signal.aborted;
          }),
        ),
      { signal: cancel.signal, whenAborted: 'finish' },
    );

    expect(outcome).toMatchObject({ status: 'fulfilled', value: true });
  });

  it('is left alone by what happens around a block of the main program', async () => {
    const isAborted = await factory.run(() => factory.run(() => context.scope.signal.aborted));

    expect(isAborted).toBe(false);
  });
});
