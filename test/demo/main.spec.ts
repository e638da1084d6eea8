import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';

import type { Client } from 'pg';

import { compileDemo } from './support/compile-demo.js';
import { DemoProcess } from './support/demo-process.js';
import { EmbeddedServer, isAlive, untilGone } from './support/embedded-server.js';
import type { JobsClient, RunJson } from './support/jobs-client.js';

// A test starts up to two processes with their databases.
import.meta.jest.setTimeout(30_000);

describe('main', () => {
  let compiled: string;
  let server: EmbeddedServer;
  let demo: DemoProcess;
  let client: JobsClient;

  async function start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    demo = new DemoProcess(compiled, { POSTGRES_FOLDER: server.folder, ...env });
    client = await demo.listening();
  }

  async function startRun(): Promise<RunJson> {
    const { body } = await client.start({ from: 1, to: 1_000, concurrency: 4, simulate: { delayMs: 50 } });
    for (let run = body; run.done === 0; run = (await client.find(run.id)).body) {
      await pause(5);
    }
    return body;
  }

  beforeAll(async () => {
    compiled = await compileDemo();
    server = await EmbeddedServer.prepare();
  });

  async function stop(): Promise<void> {
    demo.kill('SIGKILL');
    await demo.ended();
  }

  afterAll(async () => {
    await untilGone(await server.pids().catch(() => []));
    await server.remove();
    await rm(compiled, { recursive: true, force: true });
  });

  describe('that runs', () => {
    beforeEach(async () => {
      if (!demo?.isRunning) {
        await start();
      }
    });

    afterAll(stop);

    it('brings its own database, tells one address, and a line for a run that starts and one that ends', async () => {
      const run = await client.complete({ numbers: [12, 97, 360] });

      const [address, ...lines] = stripVTControlCharacters(demo.output).trim().split('\n');
      expect(run).toMatchObject({ state: 'done', done: 3 });
      expect(address).toMatch(/^Listening on http:\/\/127\.0\.0\.1:\d+$/);
      expect(lines).toEqual([
        expect.stringMatching(RegExp(`Run ${run.id} starts: 3 numbers, 4 at once, engine process$`)),
        expect.stringMatching(RegExp(`Run ${run.id} is done: 3 done and 0 failed of 3, in \\d+ ms$`)),
      ]);
      expect(demo.errors).toBe('');
    });

    it('has a page', async () => {
      const response = await fetch(client.url);
      const page = await response.text();
      const files = [...page.matchAll(/(?:src|href)="([\w-]+\.\w+)"/g)].map(([, file]) => file ?? '');
      const statuses = await Promise.all(files.map(async (file) => (await fetch(`${client.url}/${file}`)).status));

      expect(response.status).toBe(200);
      expect(files.toSorted()).toEqual(['icon.svg', 'page.css', 'page.js']);
      expect(statuses).toEqual([200, 200, 200]);
    });

    it.each(['SIGTERM', 'SIGINT'] as const)(
      'ends in good order on %s, with jobs and clients in flight',
      async (signal) => {
        const { id } = await startRun();
        const pids = [demo.pid, ...(await server.pids())];
        const end = client.untilEnd(id);
        const { hostname, port } = new URL(client.url);
        const halfRequest = connect(Number(port), hostname).on('error', () => undefined);
        halfRequest.write(
          'POST /jobs HTTP/1.1\r\nHost: demo\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{',
        );
        await once(halfRequest, 'connect');

        demo.kill(signal);

        expect(await demo.ended()).toBe(0);
        expect(pids.filter((pid) => isAlive(pid))).toEqual([]);
        const last = await end;
        expect(last).toMatchObject({ state: 'interrupted', failed: 0 });
        await start();
        expect((await client.find(id)).body).toEqual(last);
        expect((await client.results(id)).body.total).toBe(last.done);
      },
    );

    it('starts again at once after it was killed, and tells what was interrupted', async () => {
      const { id } = await startRun();
      const pids = await server.pids();

      demo.kill('SIGKILL');
      await demo.ended();
      await start();

      const { body: run } = await client.find(id);
      const { body: results } = await client.results(id);
      expect(run).toMatchObject({ state: 'interrupted', total: 1_000, failed: 0 });
      expect(run.done).toBe(results.total);
      expect(run.done).toBeGreaterThan(0);
      await untilGone(pids);
    });

    it('ends at once on a second signal', async () => {
      const blocker = await lockResults(server);
      await client.start({ numbers: [12] });
      await untilBlocked(blocker);
      const pids = [demo.pid, ...(await server.pids())];

      demo.kill('SIGTERM');
      await demo.says('Ending');
      demo.kill('SIGTERM');

      expect(await demo.ended()).toBe(1);
      await untilGone(pids);
      await blocker.end();
    });
  });

  describe('that starts', () => {
    afterEach(stop);

    it('takes a setting that is empty for one that is not set', async () => {
      await start({ HOST: '', DATABASE_URL: '' });

      expect(client.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    });

    it('takes the Ctrl+C that npm passes on for the one of the terminal', async () => {
      await start({ npm_lifecycle_event: 'start' });
      const blocker = await lockResults(server);
      await client.start({ numbers: [12] });
      await untilBlocked(blocker);

      demo.kill('SIGINT');
      await demo.says('Ending');
      demo.kill('SIGINT');
      await blocker.end();

      expect(await demo.ended()).toBe(0);
    });

    it('ends in good order when npm, which started it, was killed', async () => {
      const launcher = ['sh', '-c', `"${process.execPath}" "$0"; true`] as const;
      const env = { POSTGRES_FOLDER: server.folder, npm_lifecycle_event: 'start' };
      demo = new DemoProcess(compiled, env, { launcher });
      await demo.listening();
      const pids = await server.pids();

      demo.kill('SIGKILL');
      await demo.ended();

      expect(demo.output).toContain('Ending');
      await untilGone(pids);
    });

    it('tells in one line that its port is in use, and leaves no database behind', async () => {
      const other = createServer().listen(0, '127.0.0.1');
      await once(other, 'listening');
      const port = String((other.address() as AddressInfo).port);

      demo = new DemoProcess(compiled, { POSTGRES_FOLDER: server.folder, PORT: port });
      const code = await demo.ended();

      expect(code).toBe(1);
      expect(demo.errors).toBe(
        `Error: Port ${port} of 127.0.0.1 is in use. Set PORT to another one, or to 0 for a free one.\n`,
      );
      await expect(server.pids()).rejects.toThrow('There is no "data/postmaster.pid"');
      other.close();
    });

    it('tells in one line what is wrong with its settings', async () => {
      demo = new DemoProcess(compiled, { POSTGRES_FOLDER: server.folder, PORT: 'eighty' });
      const code = await demo.ended();

      expect(code).toBe(1);
      expect(demo.errors).toBe(
        'Error: Expected the environment variable PORT to be an integer from 0 to 65535, got "eighty".\n',
      );
    });
  });
});

/** Makes the jobs wait, so that the application cannot end. */
async function lockResults(server: EmbeddedServer): Promise<Client> {
  const client = await server.connect();
  await client.query('begin');
  await client.query('lock table factorisation in access exclusive mode');
  return client;
}

async function untilBlocked(client: Client): Promise<void> {
  const sql = 'select pid from pg_locks where not granted';
  while ((await client.query(sql)).rowCount === 0) {
    await pause(10);
  }
}
