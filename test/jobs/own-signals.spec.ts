import { getEventListeners, once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { EntityManager } from '@mikro-orm/postgresql';
import { type JobContext, type JobOptions, JobService, SessionContext, SessionFactory } from 'nestjs-mikro-session';

import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const JOBS = 200;

describe('the signal of a job', () => {
  let database: TestDatabase;
  let app: TestApp;
  let jobs: JobService<EntityManager>;
  let listening: jest.SpyInstance;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url });
    jobs = app.get(JobService);
    // Opens the connections.
    await jobs.map([0, 1, 2, 3], (session) => session.execute('select 1'));
    listening = import.meta.jest.spyOn(AbortSignal.prototype, 'addEventListener');
  });

  afterEach(() => listening.mockClear());

  afterAll(async () => {
    listening.mockRestore();
    await app.close();
    await database.drop();
  });

  const inputs = Array.from({ length: JOBS }, (_, n) => n);

  /** All signals that somebody listened to since the test began, but those of jobs. */
  const shared = (own: ReadonlySet<AbortSignal>): AbortSignal[] => {
    const signals = new Set(listening.mock.contexts as AbortSignal[]);
    return [...signals].filter((signal) => !own.has(signal));
  };

  const countOn = (signals: readonly AbortSignal[]): number =>
    signals.reduce((count, signal) => count + getEventListeners(signal, 'abort').length, 0);

  it.each<[string, Omit<JobOptions, 'signal'>, 'with a signal' | 'without']>([
    ['alone', {}, 'without'],
    ['with retries', { retry: {} }, 'without'],
    ['with a time-out', { timeout: 60_000 }, 'without'],
    ['in chunks', { chunkSize: 10 }, 'without'],
    ['with the signal of a caller', {}, 'with a signal'],
    ['with the signal of a caller that lets them finish', { whenAborted: 'finish' }, 'with a signal'],
    ['with the signal of a caller, in chunks', { chunkSize: 10 }, 'with a signal'],
  ])('is its own, whatever listens to it, and nothing stays on another: %s', async (_what, options, kind) => {
    const caller = new AbortController();
    const own = new Set<AbortSignal>();
    let most = 0;
    const work = (_session: EntityManager, _n: number, { signal }: JobContext): void => {
      signal.addEventListener('abort', () => undefined, { once: true });
      own.add(signal);
      most = Math.max(most, countOn([signal]), countOn([caller.signal]));
    };

    const outcomes = await jobs.settle(inputs, work, {
      ...options,
      ...(kind === 'with a signal' && { signal: caller.signal }),
    });

    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(JOBS);
    expect(own.size).toBe(JOBS);
    expect(most).toBe(1);
    expect(countOn([caller.signal, ...shared(own)])).toBe(0);
  });

  it('is followed by the scope of the job and by the blocks in it, which leave nothing on it either', async () => {
    const caller = new AbortController();
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const context = app.get<SessionContext>(SessionContext);
    const own = new Set<AbortSignal>();
    const work = async (_session: EntityManager, n: number, { signal }: JobContext): Promise<void> => {
      own.add(signal).add(context.scope.signal);
      await factory.run(() => {
        own.add(context.scope.signal);
        if (n === JOBS - 1) {
          caller.abort(new Error('enough'));
        }
        expect(context.scope.signal.aborted).toBe(n === JOBS - 1);
      });
    };

    const outcomes = await jobs.settle(inputs, work, {
      signal: caller.signal,
      whenAborted: 'finish',
      concurrency: 1,
    });

    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(JOBS);
    expect(own.size).toBe(3 * JOBS);
    expect([...own].filter(({ aborted }) => aborted)).toHaveLength(3);
    expect(countOn([caller.signal, ...shared(own)])).toBe(0);
  });

  describe('that is passed on to fetch', () => {
    let server: Server;
    let url: string;
    let respond: (response: ServerResponse) => unknown;

    beforeAll(async () => {
      server = createServer((_request, response) => void respond(response));
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    });

    afterAll(async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });

    it.each(['with', 'without'] as const)('leaves nothing on the others, %s that of a caller', async (kind) => {
      const caller = new AbortController();
      const own = new Set<AbortSignal>();
      let most = 0;
      respond = (response) => response.end('ok');
      const work = async (_session: EntityManager, _n: number, { signal }: JobContext): Promise<string> => {
        own.add(signal);
        const text = await (await fetch(url, { signal })).text();
        most = Math.max(most, countOn([caller.signal]));
        return text;
      };

      const texts = await jobs.map(inputs, work, kind === 'without' ? {} : { signal: caller.signal });

      expect(new Set(texts)).toEqual(new Set(['ok']));
      expect(own.size).toBe(JOBS);
      expect(most).toBe(kind === 'without' ? 0 : 1);
      expect(countOn([caller.signal])).toBe(0);
      // What is left is on the signals that fetch makes of them, one for each request.
      expect(Math.max(...shared(own).map((signal) => countOn([signal])))).toBeLessThanOrEqual(1);
    });

    it('ends it with the signal of the caller', async () => {
      const caller = new AbortController();
      const asked = Promise.withResolvers<ServerResponse>();
      respond = asked.resolve;
      const thrown = Promise.withResolvers<unknown>();
      const work = (_session: EntityManager, _n: number, { signal }: JobContext): Promise<unknown> =>
        fetch(url, { signal }).catch(thrown.resolve);

      const running = jobs.settle([1], work, { signal: caller.signal });
      const closed = once(await asked.promise, 'close');
      caller.abort(new Error('enough'));

      expect(await running).toMatchObject([{ ending: 'aborted', reason: caller.signal.reason, attempts: 1 }]);
      expect(await thrown.promise).toBe(caller.signal.reason);
      await closed;
    });
  });
});
