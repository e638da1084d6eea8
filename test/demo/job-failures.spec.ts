import { CapturedLog } from '../support/captured-log.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type DemoApp, startDemo } from './support/demo-app.js';

describe('a job that fails for a reason of the database', () => {
  let database: TestDatabase;
  let demo: DemoApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    demo = await startDemo(database.url);
    await database.query('alter table factorisation add constraint "no-7" check (number % 7 <> 0 or factors is null)');
  });

  afterAll(async () => {
    await demo.close();
    await database.drop();
  });

  it.each<[what: string, request: object]>([
    ['a run', { numbers: [1, 49, 2] }],
    ['a run of the queue', { numbers: [1, 49, 2], engine: 'queue' }],
  ])('of %s says so in words of its own, and the log has the rest', async (_what, request) => {
    using log = new CapturedLog();
    const run = await demo.client.complete(request);

    const { body } = await demo.client.results(run.id);

    expect(run).toMatchObject({ state: 'done', done: 2, failed: 1 });
    expect(body.items[1]?.error).toBe(
      'The database refused the result of the job (SQLSTATE 23514). The log of the server says why.',
    );
    expect(JSON.stringify(body)).not.toMatch(/insert into|violates|constraint/i);
    expect(log.errors).toEqual([expect.stringContaining('violates check constraint "no-7"')]);
  });
});
