import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

/** What the driver says depends on whether the farewell of the server or the end of the socket arrives first. */
const LOST = /terminating connection|Connection terminated|connection error|ECONNRESET/;

describe('a connection lost within a transaction', () => {
  const { app, database } = useTestApp({ orm: { pool: { min: 0, max: 2 } } });

  const breakOwnConnection = async (session: EntityManager): Promise<void> => {
    const [{ pid }] = await session.execute<[{ pid: number }]>('select pg_backend_pid() as pid');
    await database.query('select pg_terminate_backend($1)', [pid]);
    await session.execute('select 1');
  };

  const breakConnections = async (): Promise<void> => {
    const others = 'from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()';
    await database.query(`select pg_terminate_backend(pid) ${others}`);
    await database.until(`select count(*) = 0 ${others}`);
  };

  it('is reported by the first error and gives its place in the pool back', async () => {
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);

    for (let i = 0; i < 5; i += 1) {
      await expect(factory.begin(breakOwnConnection)).rejects.toThrow(LOST);
    }

    expect(await factory.begin((session) => session.execute('select 1 as one'))).toEqual([{ one: 1 }]);
  });

  it('gives its place back also when MikroORM holds the transaction', async () => {
    const { em } = app.orm;

    for (let i = 0; i < 5; i += 1) {
      await expect(em.fork().transactional(breakOwnConnection)).rejects.toThrow(LOST);
    }

    expect(await em.fork().execute('select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('is over for a scope that caught it, whose end has nothing to roll back', async () => {
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const registry = app.get<SessionRegistry>(SessionRegistry);

    const held = await factory.run(async (session) => {
      await expect(session.transactional(breakOwnConnection)).rejects.toThrow(LOST);
      return registry.list().map(({ heldConnections }) => heldConnections);
    });

    expect(held).toEqual([0]);
  });

  it.each(['outside of', 'within'])('fails the reader of a stream %s a transaction', async (where) => {
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    await database.query(`insert into note (text) select 'row' from generate_series(1, 300)`);

    const work = factory.run(async (session) => {
      if (where === 'within') {
        await session.begin();
      }
      for await (const _row of session.stream(Note)) {
        await breakConnections();
      }
    });

    await expect(work).rejects.toThrow(LOST);
  });

  it('lets a scope end with a stream that is half read', async () => {
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    await database.query(`insert into note (text) select 'row' from generate_series(1, 300)`);

    const work = factory.run(async (session) => {
      await session.stream(Note)[Symbol.asyncIterator]().next();
      await breakConnections();
      return 'ended';
    });

    expect(await work).toBe('ended');
  });

  it('fails the jobs it hits and no others', async () => {
    const jobs = app.get<JobService<EntityManager>>(JobService);

    const outcomes = await jobs.settle([0, 1, 2, 3, 4, 5], (session, n) =>
      n % 2 === 0 ? breakOwnConnection(session) : session.execute('select 1').then(() => undefined),
    );

    expect(outcomes.map(({ status }) => status)).toEqual([
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
  });
});
