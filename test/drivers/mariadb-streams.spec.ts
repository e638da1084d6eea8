import type { EntityManager } from '@mikro-orm/postgresql';
import { ConnectionLostError, JobTimeoutError } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { poll } from '../support/poll.js';
import { describeMariadb } from './support/driver-app.js';
import { type ProxiedApp, startProxiedApp } from './support/proxied-app.js';

describeMariadb('a stream on MariaDB', () => {
  let app: ProxiedApp;

  beforeEach(async () => {
    app = await startProxiedApp({ pool: { min: 0, max: 1 } });
    await app.database.query(`insert into note (text, tenant) values ('a', 'a'), ('b', 'a')`);
  });

  afterEach(() => app.close());

  const read = async (stream: AsyncIterable<unknown>): Promise<void> => {
    for await (const row of stream) {
      void row;
    }
  };

  const sleep = (session: EntityManager): Promise<void> =>
    read(
      session
        .getKysely()
        .selectNoFrom((eb) => eb.fn('sleep', [eb.val(60)]).as('slept'))
        .stream(),
    );

  const isSleeping = async (): Promise<boolean> => {
    const [row] = await app.database.query<{ n: number }>(
      `select count(*) as n from information_schema.processlist where info like '%sleep(60)%' and info not like '%processlist%' and db = database()`,
    );
    return row?.n === 1;
  };

  it.each(['run', 'begin'] as const)('fails when its connection is lost, in %s()', async (method) => {
    const lost = app.factory[method](async (session) => {
      await session.count(Note);
      app.proxy.cut = { word: 'from `note`', isHeard: false };
      await read(session.stream(Note));
    });

    await expect(lost).rejects.toThrow(ConnectionLostError);
    expect(await app.factory.run((session) => session.count(Note))).toBe(2);
  });

  it.each([true, false])('ends with the time-out of its job (on a silent network: %s)', async (isSilent) => {
    const [outcome] = await app.jobs.settle(
      [1],
      async (session) => {
        await session.count(Note);
        app.proxy.isSilent = isSilent;
        await sleep(session);
      },
      { timeout: 100 },
    );

    expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(JobTimeoutError) });
    app.proxy.isSilent = false;
    expect(await app.factory.run((session) => session.count(Note))).toBe(2);
  });

  it('ends when the application closes', async () => {
    const running = app.factory.run(sleep);
    running.catch(() => undefined);
    await poll('it runs', isSleeping);

    await app.app.close();

    await expect(running).rejects.toThrow('its pool was closed');
  });
});
