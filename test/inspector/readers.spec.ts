import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService } from 'nestjs-mikro-session';
import { SessionInspectorModule } from 'nestjs-mikro-session/inspector';

import { poll } from '../support/poll.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const READERS = 50;
/** What a page may hold back of the updates: one state of a long history, and what a socket takes. */
const MOST_PER_READER = 1_500_000;

/** There are no more than ten updates a second. */
const UPDATE_MS = 110;

describe('pages that never read', () => {
  let database: TestDatabase;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url, imports: [SessionInspectorModule.forRoot()] });
  });

  afterAll(async () => {
    await app.app.close();
    await database.drop();
  });

  it('keep nothing of the updates in the server', async () => {
    const { port } = new URL(app.url);
    const jobs = app.get<JobService<EntityManager>>(JobService);
    const work = (): Promise<unknown> =>
      jobs.map([...Array(1_000).keys()], () => undefined, {
        transaction: 'none',
        concurrency: 50,
        label: 'x'.repeat(900),
      });
    await work();
    const server = app.app.getHttpServer() as { on(event: 'connection', listener: (socket: Socket) => void): void };
    const accepted: Socket[] = [];
    server.on('connection', (socket) => accepted.push(socket));
    const readers = await Promise.all(
      Array.from({ length: READERS }, async () => {
        const socket = connect(Number(port), '127.0.0.1').pause();
        await once(socket, 'connect');
        socket.write(`GET /sessions/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`);
        return socket;
      }),
    );
    await poll('all are served', async () =>
      Promise.resolve(accepted.length === READERS && accepted.every((one) => one.bytesWritten > 0)),
    );

    const held: number[] = [];
    await poll('all are full', async () => {
      await work();
      held.push(accepted.reduce((sum, socket) => sum + socket.writableLength, 0));
      return accepted.every((socket) => socket.writableNeedDrain);
    });
    const full = held.at(-1);
    for (let round = 0; round < 3; round += 1) {
      await work();
      await pause(UPDATE_MS);
      held.push(accepted.reduce((sum, socket) => sum + socket.writableLength, 0));
    }
    readers.forEach((socket) => socket.destroy());

    expect(Math.max(...held)).toBeLessThan(READERS * MOST_PER_READER);
    // They get nothing more.
    expect(held.slice(-3)).toEqual([full, full, full]);
  });
});
