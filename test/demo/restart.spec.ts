import { once } from 'node:events';

import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type DemoApp, startDemo } from './support/demo-app.js';

describe('RunExecutor', () => {
  let database: TestDatabase;
  let demo: DemoApp;

  beforeEach(async () => {
    database = await createTestDatabase();
    demo = await startDemo(database.url);
  });

  afterEach(async () => {
    await demo.close();
    await database.drop();
  });

  it('marks a run as interrupted when the application ends before it', async () => {
    const { body: started } = await demo.client.start({ from: 1, to: 100, simulate: { delayMs: 10_000 } });
    const events = demo.client.events(started.id);
    await once(demo.app.getHttpServer(), 'request');
    await database.until(`select state = 'running' from run where id = $1`, [started.id]);

    await demo.close();

    const last = (await events).at(-1);
    expect(last).toMatchObject({ type: 'end', data: { state: 'interrupted', failed: 0 } });
    expect(await database.query(`select state, done from run`)).toEqual([
      { state: 'interrupted', done: last?.data.done },
    ]);
    expect(await database.query('select count(*)::int as done from factorisation')).toEqual([
      { done: last?.data.done },
    ]);
  });

  it.each(['pending', 'running'])('marks a %s run of an earlier process as interrupted at start', async (state) => {
    const run = await demo.client.complete({ numbers: [12, 97, 360], simulate: { failOn: [97] } });
    await demo.close();
    await database.query('update run set state = $1, done = 0, failed = 0, finished_at = null', [state]);

    demo = await startDemo(database.url);

    const { body } = await demo.client.find(run.id);
    expect(body).toEqual({ ...run, state: 'interrupted', finishedAt: expect.any(String) });
  });

  it('leaves a run alone that another process goes on with, and tells of it', async () => {
    const { body: started } = await demo.client.start({ from: 1, to: 40, simulate: { delayMs: 500 } });
    await database.until('select count(*) > 0 from factorisation where run_id = $1', [started.id]);

    const other = await startDemo(database.url);

    const { body: found } = await other.client.find(started.id);
    const { body: refusal } = await other.client.cancel<unknown>(started.id);
    const events = await other.client.events(started.id);
    await other.close();
    expect(found).toMatchObject({ state: 'running', finishedAt: null });
    expect(found.done).toBeGreaterThan(0);
    expect(refusal).toMatchObject({
      statusCode: 409,
      message: `The run "${started.id}" cannot be cancelled: another process runs it.`,
    });
    expect(events.map(({ type }) => type)).toContain('progress');
    expect(events.at(-1)).toMatchObject({ type: 'end', data: { state: 'done', done: 40 } });
  });

  it('leaves what has ended as it is at start', async () => {
    const run = await demo.client.complete({ numbers: [12] });
    await demo.close();

    demo = await startDemo(database.url);

    expect((await demo.client.find(run.id)).body).toEqual(run);
  });
});
