import type { EntityManager } from '@mikro-orm/postgresql';
import {
  CommitUnknownError,
  isTransientError,
  JobService,
  SessionContext,
  SessionError,
  SessionFactory,
} from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import type { NetworkLink } from '../support/network-link.js';
import { NetworkProxy } from '../support/network-proxy.js';
import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const POOL_SIZE = 2;

type Way = (text: string) => Promise<unknown>;

describe('a connection that breaks during COMMIT', () => {
  let database: TestDatabase;
  let network: NetworkProxy;
  let app: TestApp;
  let factory: SessionFactory<EntityManager>;
  let jobs: JobService<EntityManager>;
  let context: SessionContext<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    network = await NetworkProxy.start(database.url);
    app = await startTestApp({ databaseUrl: network.url, orm: { pool: { min: 0, max: POOL_SIZE } } });
    factory = app.get(SessionFactory);
    jobs = app.get(JobService);
    context = app.get(SessionContext);
  });

  afterEach(async () => {
    await network.heal();
    await database.query('delete from note');
  });

  afterAll(async () => {
    await app.close();
    await network.close();
    await database.drop();
  });

  const texts = (): Promise<string[]> => findTexts(database);

  const servesAll = async (): Promise<void> => {
    const all = Array.from({ length: POOL_SIZE }, () => factory.begin((session) => session.execute('select 1 as one')));
    expect(await Promise.all(all)).toEqual(Array.from({ length: POOL_SIZE }, () => [{ one: 1 }]));
  };

  const write = (session: EntityManager, text: string): void => void session.create(Note, { text });

  const ways: Record<string, Way> = {
    'a begin() block': (text) => factory.begin((session) => write(session, text)),
    'transactional()': (text) => factory.run((session) => session.transactional(async (inner) => write(inner, text))),
    'the transaction of a flush': (text) =>
      factory.run(async (session) => {
        write(session, text);
        await session.flush();
      }),
    'commit()': (text) =>
      factory.run(async (session) => {
        await session.begin();
        write(session, text);
        await session.commit();
      }),
    'a job': (text) => jobs.map([text], (session, one) => write(session, one)).catch(firstCause),
    'a job with a time-out': (text) =>
      jobs.map([text], (session, one) => write(session, one), { timeout: 20_000 }).catch(firstCause),
  };

  const losses: Record<string, (link: NetworkLink) => void> = {
    'is reset': (link) => link.cut(),
    'is ended': (link) => link.halfClose(),
    'breaks within the answer': (link) => {
      link.passHalf();
      link.halfClose();
    },
  };

  it.each(Object.entries(ways))('fails %s with an error that says that nobody knows', async (_name, way) => {
    void network.once('answer', /^commit$/i, (link) => link.cut());

    const error = await way('written').catch((reason: unknown) => reason);

    expect(error).toBeInstanceOf(CommitUnknownError);
    expect(error).toBeInstanceOf(SessionError);
    expect(error).toHaveProperty('code', 'COMMIT_UNKNOWN');
    expect(error).toHaveProperty('cause.message', expect.any(String));
    expect(isTransientError(error)).toBe(false);
    expect(await texts()).toContain('written');
    await servesAll();
  });

  it.each(Object.entries(losses))('tells nobody of an end when it %s', async (_name, lose) => {
    void network.once('answer', /^commit$/i, lose);
    const calls: string[] = [];

    const work = factory.begin((session) => {
      write(session, 'written');
      context.afterCommit(() => void calls.push('committed'));
      context.afterRollback(() => void calls.push('rolled back'));
    });

    await expect(work).rejects.toThrow(CommitUnknownError);
    expect(calls).toEqual([]);
  });

  it.each<[string, (work: () => Promise<void>) => Promise<unknown>]>([
    ['a begin() block', (work) => factory.begin(work)],
    ['transactional()', (work) => factory.run((session) => session.transactional(work))],
    ['a savepoint', (work) => factory.begin((session) => session.transactional(work))],
    ['commit()', (work) => factory.run((session) => session.begin().then(work))],
  ])('does not hide that %s around it was rolled back, which another transaction ended', async (_name, around) => {
    const calls: string[] = [];

    const work = around(async () => {
      context.afterCommit(() => void calls.push('committed'));
      context.afterRollback(() => void calls.push('rolled back'));
      void network.once('answer', /^commit$/i, (link) => link.cut());
      await factory.begin((session) => write(session, 'of the other'));
    });

    await expect(work).rejects.toThrow(CommitUnknownError);
    expect(calls).toEqual(['rolled back']);
  });

  it('leaves what a savepoint around it had written to be written again', async () => {
    await factory.begin(async (session) => {
      write(session, 'kept');
      await session
        .transactional(async (inner) => {
          await inner.flush();
          void network.once('answer', /^commit$/i, (link) => link.cut());
          await factory.begin((other) => write(other, 'of the other'));
        })
        .catch(() => undefined);
    });

    expect((await texts()).toSorted()).toEqual(['kept', 'of the other']);
  });

  it('says so too when COMMIT did not arrive, which nobody can tell apart', async () => {
    void network.once('statement', /^commit$/i, (link) => link.cut());

    await expect(factory.begin((session) => write(session, 'written'))).rejects.toThrow(CommitUnknownError);

    expect(await texts()).toEqual([]);
  });

  it('lets a job not be tried again', async () => {
    void network.once('answer', /^commit$/i, (link) => link.cut());

    const outcomes = await jobs.settle(['written'], (session, text) => write(session, text), { retry: {} });

    expect(outcomes).toMatchObject([{ status: 'rejected', attempts: 1, ending: 'failed' }]);
    expect(await texts()).toEqual(['written']);
  });

  it('lets a chunk not be run again in parts', async () => {
    void network.once('answer', /^commit$/i, (link) => link.cut());

    const outcomes = await jobs.settle(['one', 'two'], (session, text) => write(session, text), { chunkSize: 2 });

    expect(outcomes).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }]);
    expect((await texts()).toSorted()).toEqual(['one', 'two']);
  });

  it('lets a job be tried again that asks for it', async () => {
    void network.once('statement', /^commit$/i, (link) => link.cut());

    const outcomes = await jobs.settle(['written'], (session, text) => write(session, text), {
      retry: { delay: 1, when: (error) => error instanceof CommitUnknownError || isTransientError(error) },
    });

    expect(outcomes).toMatchObject([{ status: 'fulfilled', attempts: 2 }]);
    expect(await texts()).toEqual(['written']);
  });

  it('is known to be a rollback when the connection was lost before', async () => {
    const work = factory.run(async (session) => {
      await session.begin();
      await session.insert(Note, { text: 'lost' });
      network.cut();
      await session.execute('select 1').catch(() => undefined);
      await session.commit();
    });

    const error = await work.catch((reason: unknown) => reason);

    expect(error).not.toBeInstanceOf(CommitUnknownError);
    expect(isTransientError(error)).toBe(true);
    expect(await texts()).toEqual([]);
    await servesAll();
  });

  it('leaves the answer of the server alone that refuses the commit', async () => {
    await database.query('alter table note add constraint one unique (text) deferrable initially deferred');

    const work = factory.begin((session) => {
      write(session, 'twice');
      write(session, 'twice');
    });
    const error = await work.catch((reason: unknown) => reason);
    await database.query('alter table note drop constraint one');

    expect(error).toMatchObject({ code: '23505' });
    expect(await texts()).toEqual([]);
  });
});

function firstCause(error: unknown): never {
  const { errors } = error as AggregateError;
  throw (errors[0] as Error).cause;
}
