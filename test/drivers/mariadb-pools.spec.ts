import { JobTimeoutError, SessionStateError } from 'nestjs-mikro-session';

import { poll } from '../support/poll.js';
import { describeMariadb, startDriverApp } from './support/driver-app.js';

interface Reconnecting {
  readonly driver: { getConnection(): { getNativeClient?: (() => Promise<unknown>) | undefined } };
  reconnect(options?: { readonly skipOnConnect: boolean }): Promise<void>;
}

describeMariadb('the pool of mysql2', () => {
  it('is found by all that come at once to a connection that was made anew', async () => {
    const app = await startDriverApp('mariadb', { orm: { pool: { min: 0, max: 2 } } });
    try {
      await app.database.query('create or replace procedure commits() commit');
      await (app.orm as unknown as Reconnecting).reconnect({ skipOnConnect: true });

      const outcomes = await Promise.allSettled(
        [1, 2].map(() =>
          app.factory.begin(async (session) => {
            await session.execute('call commits()');
          }),
        ),
      );

      expect(outcomes).toEqual(
        [1, 2].map(() => ({ status: 'rejected', reason: expect.any(SessionStateError) as unknown })),
      );
    } finally {
      await app.close();
    }
  });

  it('may be hidden: a connection that must not be used again still ends', async () => {
    const app = await startDriverApp('mariadb', { orm: { pool: { min: 0, max: 1 } } });
    try {
      const orm = app.orm as unknown as Reconnecting;
      orm.driver.getConnection().getNativeClient = undefined;
      await orm.reconnect();

      const [outcome] = await app.jobs.settle(
        [1],
        async (session) => {
          await session.execute(`insert into note (text, tenant) values ('lost', 'a')`);
          await session.execute('select sleep(60)');
        },
        { timeout: 100 },
      );
      await poll('the connection is free again', async () => app.registry.list().length === 0);
      await app.factory.run((session) => session.execute(`set @tenant = 'a'`));
      const seen = await app.factory.begin((session) => session.execute('select @tenant as tenant'));

      expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(JobTimeoutError) });
      expect(seen).toEqual([{ tenant: null }]);
      await app.database.untilNoTransaction();
      expect(await app.texts()).toEqual([]);
    } finally {
      await app.close();
    }
  });
});
