import { rm } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';

import { compileDemo } from './support/compile-demo.js';
import { DemoProcess } from './support/demo-process.js';
import { EmbeddedServer, untilGone } from './support/embedded-server.js';
import type { JobsClient } from './support/jobs-client.js';
import { mostAtOnce } from './support/most-at-once.js';

// A test starts up to three processes.
import.meta.jest.setTimeout(60_000);

describe('the worker', () => {
  let compiled: string;
  let server: EmbeddedServer;
  const processes: DemoProcess[] = [];

  function start(program: 'main.js' | 'worker/main.js', env: Readonly<Record<string, string>> = {}): DemoProcess {
    const started = new DemoProcess(compiled, { POSTGRES_FOLDER: server.folder, ...env }, { program });
    processes.push(started);
    return started;
  }

  async function startWorker(): Promise<DemoProcess> {
    const worker = start('worker/main.js');
    await worker.says('Working the queue');
    return worker;
  }

  /** Waits until a run has results, but not all. */
  async function untilUnderWay(client: JobsClient, id: string): Promise<void> {
    let { body: run } = await client.find(id);
    while (run.done === 0) {
      await pause(5);
      run = (await client.find(id)).body;
    }
    expect(run.state).toBe('running');
  }

  beforeAll(async () => {
    compiled = await compileDemo();
    server = await EmbeddedServer.prepare();
  });

  afterEach(async () => {
    processes.forEach((started) => started.kill('SIGKILL'));
    await Promise.all(processes.splice(0).map((started) => started.ended()));
  });

  afterAll(async () => {
    await untilGone(await server.pids().catch(() => []));
    await server.remove();
    await rm(compiled, { recursive: true, force: true });
  });

  it('says what to do when there is no database to work on', async () => {
    const worker = start('worker/main.js');

    expect(await worker.ended()).toBe(1);
    expect(worker.errors).toBe(
      `Error: No embedded PostgreSQL runs in "${server.folder}". Run \`npm start\` first, or set DATABASE_URL to use ` +
        'a server of your own.\n',
    );
  });

  describe('of a demo that does not work its queue', () => {
    let web: DemoProcess;
    let client: JobsClient;

    beforeAll(async () => {
      web = new DemoProcess(compiled, { POSTGRES_FOLDER: server.folder, WORK: 'off' });
      client = await web.listening();
    });

    afterAll(async () => {
      web.kill('SIGKILL');
      await web.ended();
      await untilGone(await server.pids().catch(() => []));
    });

    it('works the queue of a running demo together with others, and no more jobs of a run at once than it may have', async () => {
      await Promise.all([startWorker(), startWorker()]);

      const run = await client.complete({
        from: 1,
        to: 96,
        engine: 'queue',
        concurrency: 12,
        simulate: { delayMs: 400 },
      });

      const { body } = await client.results(run.id);
      expect(run).toMatchObject({ state: 'done', done: 96, failed: 0 });
      expect(body.items.map(({ number }) => number)).toEqual(Array.from({ length: 96 }, (_, index) => index + 1));
      // One alone has eight.
      expect(mostAtOnce(body.items)).toBe(12);
      expect([web, ...processes].map(({ errors }) => errors)).toEqual(['', '', '']);
    });

    it('ends in good order, and leaves the rest to others', async () => {
      const worker = await startWorker();
      const { body } = await client.start({ from: 1, to: 60, engine: 'queue', simulate: { delayMs: 100 } });
      await untilUnderWay(client, body.id);

      worker.kill('SIGTERM');

      expect(await worker.ended()).toBe(0);
      expect(worker.errors).toBe('');
      expect(await countActive(server)).toBe(0);
      const { body: left } = await client.find(body.id);
      expect(left).toMatchObject({ state: 'running', failed: 0 });
      expect(left.done).toBeLessThan(60);
      await startWorker();
      expect(await client.untilEnd(body.id)).toMatchObject({ state: 'done', done: 60, failed: 0 });
    });

    it('ends when the demo takes its database with it', async () => {
      const worker = await startWorker();

      web.kill('SIGTERM');

      expect(await web.ended()).toBe(0);
      expect(await worker.ended()).toBe(1);
      expect(worker.errors).toContain(
        'Error: The embedded PostgreSQL has ended. Run `npm start`, and start the worker again.\n',
      );
    });
  });

  it('goes on with a run when the demo was killed and started again', async () => {
    const first = start('main.js');
    const { body: started } = await (
      await first.listening()
    ).start({ from: 1, to: 100, engine: 'queue', simulate: { failOn: [100], delayMs: 20 } });
    await untilUnderWay(await first.listening(), started.id);

    first.kill('SIGKILL');
    await first.ended();
    const second = start('main.js');
    const client = await second.listening();
    const { body: found } = await client.find(started.id);
    const events = client.events(started.id);
    await letHeartsStop(server);

    expect(found).toMatchObject({ state: 'running', finishedAt: null });
    const all = await events;
    expect(all.filter(({ type }) => type === 'progress').length).toBeGreaterThan(1);
    expect(all.at(-1)).toMatchObject({ type: 'end', data: { state: 'done', done: 99, failed: 1 } });
    expect((await client.results(started.id)).body.total).toBe(100);
    expect(second.errors).toBe('');
  });
});

async function countActive(server: EmbeddedServer): Promise<number> {
  const client = await server.connect();
  const { rows } = await client.query<{ active: number }>(
    `select count(*)::int as active from pgboss.job where state = 'active'`,
  );
  await client.end();
  return rows[0]?.active ?? Number.NaN;
}

/** Makes the jobs of a dead process look as if it had died some time ago. */
async function letHeartsStop(server: EmbeddedServer): Promise<void> {
  const client = await server.connect();
  await client.query(
    `update pgboss.job set heartbeat_on = heartbeat_on - interval '1 minute' where state = 'active' and started_on < (
       select min(backend_start) from pg_stat_activity where application_name like 'numbers %')`,
  );
  await client.end();
}
