import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { NodeProcess } from '../support/node-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { DemoProcess } from './support/demo-process.js';
import { EmbeddedServer, untilGone } from './support/embedded-server.js';
import { compileDemo } from './support/compile-demo.js';

describe('the command line', () => {
  let folder: string;
  let database: TestDatabase;

  beforeAll(async () => {
    folder = await compileDemo();
    database = await createTestDatabase();
  }, 60_000);

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
    await database.drop();
  });

  const cli = (...args: readonly string[]): Promise<{ stdout: string; stderr: string }> =>
    promisify(execFile)(process.execPath, [join(folder, 'dist', 'cli', 'main.js'), ...args], {
      env: {
        PATH: process.env['PATH'],
        NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
        DATABASE_URL: database.url,
      },
      timeout: 30_000,
    });

  it('factorises a range of numbers and shows how far it has come', async () => {
    const { stdout, stderr } = await cli('1', '60', '8');

    expect(stderr).toContain('60/60');
    expect(stderr).toMatch(/\d+ per second/);
    expect(stdout).toContain('done: 60 numbers factorised, 0 failed');
    expect(await database.query('select state, done, concurrency from run')).toEqual([
      { state: 'done', done: 60, concurrency: 8 },
    ]);
  }, 60_000);

  it('factorises large numbers', async () => {
    const { stdout, stderr } = await cli('9007199254740989', '9007199254740991');

    expect(stderr).toContain('3/3');
    expect(stdout).toContain('done: 3 numbers factorised, 0 failed');
  }, 60_000);

  it('uses the database of a running demo', async () => {
    const server = await EmbeddedServer.prepare();
    const demo = new DemoProcess(folder, { POSTGRES_FOLDER: server.folder });
    const client = await demo.listening();
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [join(folder, 'dist', 'cli', 'main.js'), '1', '20'],
      { env: { PATH: process.env['PATH'], POSTGRES_FOLDER: server.folder }, timeout: 30_000 },
    );
    const { body } = await client.list();
    demo.kill('SIGTERM');
    const code = await demo.ended();
    await server.remove();

    expect(stdout).toContain('done: 20 numbers factorised, 0 failed');
    expect(body.items).toMatchObject([{ state: 'done', done: 20 }]);
    expect(code).toBe(0);
  }, 60_000);

  describe('with an embedded database that no demo has started', () => {
    let server: EmbeddedServer;
    let started: NodeProcess[];

    beforeEach(async () => {
      server = await EmbeddedServer.prepare();
      started = [];
    });

    afterEach(async () => {
      for (const { pid } of started.filter(({ isRunning }) => isRunning)) {
        process.kill(pid, 'SIGKILL');
      }
      await Promise.all(started.map((one) => one.ended()));
      await server.remove();
    });

    /** One number at a time: what counts here is how long it takes, not how many it does. */
    const start = (to: number): NodeProcess => {
      const launcher = [process.execPath, join(folder, 'dist/cli/main.js'), '1', String(to)] as const;
      const one = new NodeProcess('1', { POSTGRES_FOLDER: server.folder }, launcher);
      started.push(one);
      return one;
    };

    /** The runs that are stored, the last first. */
    const stored = async (): Promise<unknown> => {
      const demo = new DemoProcess(folder, { POSTGRES_FOLDER: server.folder });
      started.push(demo);
      const { body } = await (await demo.listening()).list();
      demo.kill('SIGTERM');
      await demo.ended();
      return body.items;
    };

    it('shares it with another that starts at once', async () => {
      const all = [start(100), start(100), start(100)];
      const ends = await Promise.all(all.map(async (one) => [await one.ended(), one.output, one.errors]));
      const done = expect.stringContaining('done: 100 numbers factorised, 0 failed') as unknown;

      expect(ends).toEqual(all.map(() => [0, done, expect.stringContaining('100/100') as unknown]));
      expect(await stored()).toMatchObject(all.map(() => ({ state: 'done', done: 100 })));
    }, 60_000);

    it.each(['SIGINT', 'SIGKILL'] as const)(
      'leaves it to another that uses it, also when it ends by %s',
      async (signal) => {
        const first = start(100_000);
        await first.says('0/100000', 'errors');
        const second = start(500);
        await second.says('0/500', 'errors');
        const pids = await server.pids();
        first.kill(signal);
        await first.ended();
        const isSecondRunning = second.isRunning;
        const third = start(20);

        expect(isSecondRunning).toBe(true);
        expect([await second.ended(), await third.ended()]).toEqual([0, 0]);
        await untilGone(pids);
        expect(await stored()).toMatchObject([
          { state: 'done', done: 20 },
          { state: 'done', done: 500 },
          { state: signal === 'SIGINT' ? 'cancelled' : 'interrupted' },
        ]);
      },
      60_000,
    );
  });

  it('refuses to run more at once than the demo does', async () => {
    await expect(cli('1', '60', '1000')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/Expected `CONCURRENCY` to be \d+ or less, got 1000\. Usage: npm run cli/),
    });
  }, 60_000);

  it('says how to use it', async () => {
    await expect(cli('9', '1')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Usage: npm run cli -- FROM TO [CONCURRENCY]'),
    });
  }, 60_000);
});
