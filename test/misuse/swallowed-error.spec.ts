import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, SessionFactory, TransactionAbortedError } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { describeUnless } from '../support/unless.js';
import { useTestApp } from '../support/use-test-app.js';

const STATEMENT_ALONE = 'There an error undoes its statement alone. What ends a transaction is in test/drivers.';

describeUnless({ mariadb: STATEMENT_ALONE, sqlite: STATEMENT_ALONE })(
  'an SQL error that is caught within a transaction',
  () => {
    let factory: SessionFactory<EntityManager>;

    const { app, database } = useTestApp();

    beforeAll(() => {
      factory = app.get(SessionFactory);
    });

    afterEach(() => database.query('delete from note'));

    /** Writes, then swallows an error after which PostgreSQL will commit nothing. */
    async function writeAndSwallow(session: EntityManager): Promise<string> {
      session.create(Note, { text: 'written' });
      await session.flush();
      await session.execute('select 1 / 0').catch(() => undefined);
      return 'all is well';
    }

    const countNotes = async (): Promise<number> =>
      Number((await database.query<{ n: unknown }>('select count(*) as n from note'))[0]!.n);

    it('fails the commit of a block', async () => {
      await expect(factory.begin(writeAndSwallow)).rejects.toThrow(TransactionAbortedError);

      expect(await countNotes()).toBe(0);
    });

    it('fails the commit of a job', async () => {
      const outcomes = await app.get<JobService<EntityManager>>(JobService).settle([1], writeAndSwallow);

      expect(outcomes).toMatchObject([{ status: 'rejected', reason: { code: 'TRANSACTION_ABORTED' } }]);
    });

    it('fails the commit of transactional(), of a session and of a fork', async () => {
      const bySession = factory.run((session) => session.transactional(writeAndSwallow));
      const byFork = app.orm.em.fork().transactional(writeAndSwallow);

      await expect(bySession).rejects.toThrow(TransactionAbortedError);
      await expect(byFork).rejects.toThrow(TransactionAbortedError);
      expect(await countNotes()).toBe(0);
    });

    it('passes when it was raised and caught in a savepoint', async () => {
      await factory.begin(async (session) => {
        session.create(Note, { text: 'written' });
        await session.flush();
        await session.transactional((inner) => inner.execute('select 1 / 0')).catch(() => undefined);
      });

      expect(await countNotes()).toBe(1);
    });

    it('is thrown by each commit when a flush raised it, until the rollback', async () => {
      await factory.run(async (session) => {
        session.create(Note, { id: 1000, text: 'a' });
        await session.flush();
        session.clear();
        await session.begin();
        session.create(Note, { id: 1000, text: 'duplicate' });
        await expect(session.flush()).rejects.toMatchObject({ code: '23505' });

        for (let i = 0; i < 5; i += 1) {
          await expect(session.commit()).rejects.toMatchObject({ code: '23505' });
        }
        await session.rollback();
        session.clear();

        session.create(Note, { text: 'b' });
        await session.flush();
      });

      expect(await countNotes()).toBe(2);
    });
  },
);
