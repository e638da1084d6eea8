import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/postgres/embedded-postgres.js';
import { EmbeddedServer } from './support/embedded-server.js';

import.meta.jest.setTimeout(30_000);

describe('startEmbeddedPostgres', () => {
  let server: EmbeddedServer;

  beforeEach(async () => {
    server = await EmbeddedServer.prepare();
  });

  afterEach(() => server.remove());

  const start = (): Promise<EmbeddedPostgres> => startEmbeddedPostgres({ folder: server.folder, patience: 3_000 });

  async function runOnce(sql: string): Promise<unknown[]> {
    const client = await server.connect();
    const { rows } = await client.query<Record<string, unknown>>(sql);
    await client.end();
    return rows;
  }

  it('gives a folder that two start on at once to one of them, and tells the other', async () => {
    const [first, second] = await Promise.allSettled([start(), start()]);
    const running = [first, second].flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const errors = [first, second].flatMap((result) => (result.status === 'rejected' ? [String(result.reason)] : []));
    const answer = await runOnce('select 1 as one');
    await running[0]?.stop();

    expect(running).toHaveLength(1);
    expect(answer).toEqual([{ one: 1 }]);
    expect(errors).toEqual([expect.stringContaining('is in use by another process (its keeper is ')]);
  });

  it('does not wait for a process that only has the id of a former server', async () => {
    const first = await start();
    await runOnce('create table kept ()');
    await first.stop();
    await writeFile(join(server.folder, 'data', 'postmaster.pid'), `${process.pid}\n${server.folder}/data\n0\n1\n`);

    const second = await start();
    const kept = await runOnce('select * from kept');
    await second.stop();

    expect(kept).toEqual([]);
  });

  it('leaves a folder alone that it did not make', async () => {
    const file = join(server.folder, 'data', 'thesis.txt');
    await mkdir(join(server.folder, 'data'));
    await writeFile(file, 'years of work');

    const starting = start();

    await expect(starting).rejects.toThrow('was not made by this program. Remove it, or set POSTGRES_FOLDER');
    expect(await readFile(file, 'utf8')).toBe('years of work');
  });
});
