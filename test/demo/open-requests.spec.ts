import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type DemoApp, startDemo } from './support/demo-app.js';

const untilClosing = async (server: Server): Promise<void> => {
  while (server.listening) {
    await nextTurn();
  }
};

describe('OpenRequests', () => {
  let database: TestDatabase;
  let demo: DemoApp;
  let server: Server;

  beforeEach(async () => {
    database = await createTestDatabase();
    demo = await startDemo(database.url);
    server = demo.app.getHttpServer() as Server;
  });

  afterEach(async () => {
    await demo.close();
    await database.drop();
  });

  it('lets the requests that are being answered finish, and refuses what comes later', async () => {
    await database.query('begin');
    await database.query('lock table factorisation in access exclusive mode');
    const { body: run } = await demo.client.start({ numbers: [12] });
    // Unlike pg_stat_activity it is read anew within a transaction.
    await database.until(
      `select count(*) > 0 from pg_locks where not granted and relation = 'factorisation'::regclass`,
    );
    const end = demo.client.untilEnd(run.id);
    await once(server, 'request');
    const late = connect((server.address() as AddressInfo).port, '127.0.0.1');
    late.write('POST /jobs HTTP/1.1\r\nHost: demo\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n');
    await once(server, 'request');

    const closing = demo.close();
    await untilClosing(server);
    late.write('{ "numbers": [1] }');
    const refusal = await text(late);
    await database.query('rollback');
    await closing;

    expect(refusal).toMatch(/^HTTP\/1\.1 503 /);
    expect(refusal).toContain('"message":"The server is shutting down."');
    expect(await end).toMatchObject({ state: 'done', done: 1 });
  });

  it('does not wait for a connection without a request', async () => {
    const idle = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(server, 'connection');

    await demo.close();

    expect(await text(idle)).toBe('');
  });
});
