import type { LoggerService } from '@nestjs/common';

import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type DemoApp, startDemo } from './support/demo-app.js';
import { startTcpProxy, type TcpProxy } from './support/tcp-proxy.js';

// The application waits for seconds before it takes the database for gone, and a job for lost.
import.meta.jest.setTimeout(60_000);

class Log implements LoggerService {
  readonly errors: string[] = [];

  error(message: unknown): void {
    this.errors.push(String(message));
  }

  log(): void {}

  warn(): void {}
}

describe('ErrorFilter', () => {
  let database: TestDatabase;
  let proxy: TcpProxy;
  let log: Log;
  let demo: DemoApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    proxy = await startTcpProxy(database.url);
  });

  beforeEach(async () => {
    log = new Log();
    await proxy.restore();
    demo = await startDemo(proxy.url, { logger: log });
  });

  afterEach(async () => {
    await demo.close();
  });

  afterAll(async () => {
    await proxy.cut();
    await database.drop();
  });

  const unavailable = {
    statusCode: 503,
    error: 'Service Unavailable',
    message: 'The database cannot be reached at the moment. Try again later.',
    details: [],
  };

  it('answers 503 while the database is gone, says so in the log, and serves again when it is back', async () => {
    const run = await demo.client.complete({ numbers: [12] });
    await proxy.cut();

    const answers = [
      await demo.client.find(run.id),
      await demo.client.list(),
      await demo.client.send(`/jobs/${run.id}/events`),
      await demo.client.start({ numbers: [1] }),
    ];
    await proxy.restore();

    expect(answers.map(({ status, body }) => ({ status, body }))).toEqual(
      answers.map(() => ({ status: 503, body: unavailable })),
    );
    expect(log.errors).toContainEqual(expect.stringContaining(`GET /jobs/${run.id}: the database cannot be reached: `));
    expect((await demo.client.find(run.id)).body).toEqual(run);
    expect(await demo.client.complete({ numbers: [1] })).toMatchObject({ state: 'done', done: 1 });
  });

  it('does not wait for ever for a database that does not answer', async () => {
    await proxy.silence();

    const { status, body } = await demo.client.list();

    expect(status).toBe(503);
    expect(body).toEqual(unavailable);
  });

  it('leaves the health check to report that the database is gone', async () => {
    const up = await demo.client.send<unknown>('/health');
    await proxy.cut();
    const down = await demo.client.send<unknown>('/health');
    await proxy.restore();
    const upAgain = await demo.client.send<unknown>('/health');

    expect(up).toMatchObject({ status: 200, body: { status: 'ok', details: { database: { status: 'up' } } } });
    expect(down).toMatchObject({ status: 503, body: { status: 'error', details: { database: { status: 'down' } } } });
    expect(upAgain.status).toBe(200);
  });
});

describe('a run', () => {
  let database: TestDatabase;
  let proxy: TcpProxy;
  let demo: DemoApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    proxy = await startTcpProxy(database.url);
    demo = await startDemo(proxy.url);
  });

  afterAll(async () => {
    await demo.close();
    await proxy.cut();
    await database.drop();
  });

  it('has its end stored when it outlived its database and that is back', async () => {
    const { body: started } = await demo.client.start({ from: 1, to: 200, simulate: { delayMs: 20 } });
    const end = demo.client.untilEnd(started.id);
    await database.until('select count(*) >= 8 from factorisation where run_id = $1', [started.id]);

    await proxy.cut();
    const ended = await end;
    await proxy.restore();

    await database.until(`select state = 'done' from run where id = $1`, [started.id]);
    const { body: stored } = await demo.client.find(started.id);
    expect(ended).toMatchObject({ state: 'done', total: 200 });
    expect(ended.failed).toBeGreaterThan(0);
    expect(stored.done + stored.failed).toBe(200);
    expect((await demo.client.results(started.id)).body.total).toBe(200);
  });

  it('of the queue goes on, and fails none of its jobs, when the database is back', async () => {
    const request = { from: 1, to: 200, engine: 'queue', simulate: { failOn: [200], delayMs: 20 } };
    const { body: started } = await demo.client.start(request);
    const events = demo.client.events(started.id);
    await database.until('select count(*) >= 8 from factorisation where run_id = $1', [started.id]);

    await proxy.cut();
    const { status } = await demo.client.start({ numbers: [1], engine: 'queue' });
    await proxy.restore();
    // As if nobody had touched the jobs that were cut for some time. The workers touch many jobs at once as well, so
    // that the table is locked first.
    await database.query(
      `lock table pgboss.job in share row exclusive mode;
       update pgboss.job set heartbeat_on = heartbeat_on - interval '1 minute' where state = 'active'`,
    );

    expect(status).toBe(503);
    expect((await events).at(-1)).toMatchObject({ type: 'end', data: { state: 'done', done: 199, failed: 1 } });
    expect((await demo.client.results(started.id)).body.total).toBe(200);
  });
});
