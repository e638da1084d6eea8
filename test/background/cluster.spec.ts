import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { compileApp } from '../support/compile-app.js';
import { NodeProcess } from '../support/node-process.js';
import { injections, startTestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

interface Answer {
  readonly pid: number;
  readonly session: number;
  readonly known: number;
}

describe.each(injections)('two processes of node:cluster, with %s injection', (injection) => {
  let database: TestDatabase;
  let folder: string;
  let primary: NodeProcess;

  beforeAll(async () => {
    database = await createTestDatabase();
    const { app } = await startTestApp({ databaseUrl: database.url });
    await app.close();
    folder = await compileApp({ 'test/background/support/cluster-app': 'dist' });
    primary = new NodeProcess(join(folder, 'dist', 'main.js'), {
      CLUSTER_DATABASE: database.url,
      INJECTION: injection,
      PORT: '0',
    });
  });

  afterAll(async () => {
    primary.kill('SIGTERM');
    await primary.ended();
    await rm(folder, { recursive: true });
    await database.drop();
  });

  it('serve requests, each with a session of its own', async () => {
    await primary.says('listens at');
    const [, url] = /listens at (\S+)\.\n/.exec(primary.output) ?? [];
    const add = async (text: string): Promise<Answer> => {
      const init = { method: 'POST', headers: { connection: 'close' } };
      return (await fetch(`${url}/notes/${text}`, init)).json() as Promise<Answer>;
    };
    while (primary.output.split('listens at').length < 3) {
      await add('early');
    }

    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => add(`note-${i}`)));

    expect(new Set(answers.map(({ pid }) => pid)).size).toBe(2);
    expect(new Set(answers.map(({ pid, session }) => `${pid} ${session}`)).size).toBe(20);
    expect(answers.map(({ known }) => known)).toEqual(answers.map(() => 1));
    expect(await database.query(`select count(*)::int from note where text like 'note-%'`)).toEqual([{ count: 20 }]);
  });
});
