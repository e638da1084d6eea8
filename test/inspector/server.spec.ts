import { request as httpRequest } from 'node:http';

import { Controller, Get, VersioningType } from '@nestjs/common';
import type { EntityManager } from '@mikro-orm/postgresql';
import { InjectSession, JobService, SessionContext, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';
import { type InspectorState, SessionInspectorModule } from 'nestjs-mikro-session/inspector';

import { Note } from '../support/note.entity.js';
import { platforms, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { EventReader } from './support/event-reader.js';

const ALLOWED = { headers: { authorization: 'yes' } };
const ROUTES = ['', '/page.js', '/page.css', '/troubleshooting.html', '/state', '/events'];

@Controller()
class NotesController {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @Get('notes')
  count(): Promise<number> {
    return this.session.count(Note);
  }
}

async function stateOf(url: string, init: RequestInit = {}): Promise<InspectorState> {
  const response = await fetch(`${url}/state`, init);
  return (await response.json()) as InspectorState;
}

/** Waits until a scope waits for the lock of another. */
async function blocked(app: TestApp): Promise<void> {
  for (;;) {
    const rows = await app.orm.em
      .fork()
      .execute(`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`);
    if (rows.length > 0) {
      return;
    }
  }
}

/** Locks the table of notes until it is released. */
async function lockNotes(factory: SessionFactory<EntityManager>): Promise<{ release(): Promise<void> }> {
  const holding = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const holder = factory.begin(async (session) => {
    await session.execute('lock table note');
    holding.resolve();
    await release.promise;
  });
  await holding.promise;
  return {
    release() {
      release.resolve();
      return holder;
    },
  };
}

describe.each(platforms)('SessionInspectorModule over %s', (platform) => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(async () => {
    await database.drop();
  });

  describe('with authorize', () => {
    let app: TestApp;
    let url: string;

    beforeAll(async () => {
      app = await startTestApp({
        databaseUrl: database.url,
        platform,
        controllers: [NotesController],
        session: { http: { transaction: true } },
        imports: [
          SessionInspectorModule.forRoot({
            path: '/admin/sessions',
            actions: true,
            history: 20,
            authorize: async (request) => Promise.resolve(request.headers['authorization'] === 'yes'),
          }),
        ],
        configure: (made) => {
          made.setGlobalPrefix('api');
          made.enableVersioning({ type: VersioningType.URI });
        },
      });
      url = `${app.url}/api/admin/sessions`;
    });

    afterAll(async () => {
      await app.app.close();
    });

    it.each(ROUTES)('answers 403 at "%s" to a client that is not authorised', async (route) => {
      const response = await fetch(url + route);

      expect(response.status).toBe(403);
      expect(response.headers.get('cache-control')).toContain('no-store');
    });

    it('answers 403 to the action of a client that is not authorised', async () => {
      const response = await fetch(`${url}/scopes/any/end`, {
        method: 'POST',
        headers: { 'x-session-inspector': '1' },
      });

      expect(response.status).toBe(403);
    });

    it('serves a page without a script of its own, for this host alone, below any path', async () => {
      const response = await fetch(url, ALLOWED);
      const html = await response.text();
      const withSlash = await (await fetch(`${url}/index.html`, ALLOWED)).text();

      const policy = response.headers.get('content-security-policy');
      expect(response.status).toBe(200);
      expect(policy).toContain("default-src 'none'");
      expect(policy).not.toContain('unsafe-inline');
      expect(response.headers.get('cache-control')).toContain('no-store');
      expect(html).toContain('src="./sessions/page.js"');
      expect(withSlash).toContain('src="./page.js"');
      expect(html).not.toMatch(/https?:|<script(?![^>]*src=)/);
    });

    it('shows a scope that waits for a lock: its statement without values, its connection, its info', async () => {
      const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
      const lock = await lockNotes(factory);
      const waiter = factory.begin(
        async (session) => {
          session.create(Note, { text: 'a secret' });
          await session.flush();
        },
        { label: '<b>waiter</b>', info: { tenant: 'acme' } },
      );
      await blocked(app);

      const state = await stateOf(url, ALLOWED);
      await Promise.all([lock.release(), waiter]);

      const shown = state.live.scopes.find(({ label }) => label === '<b>waiter</b>');
      expect(shown).toMatchObject({
        kind: 'begin',
        state: 'open',
        transaction: 'open',
        depth: 1,
        waitsFor: 'statement',
        statement: expect.stringMatching(/^insert into "note" \("text", "tenant"\) values \(\?, \?\)/),
        connections: [expect.any(Number)],
        info: { tenant: 'acme' },
      });
      expect(JSON.stringify(state)).not.toContain('secret');
      expect(state.pools).toMatchObject([{ max: 5, inUse: 2, waiting: 0 }]);
    });

    it.each([
      ['in a transaction', 'begin'],
      ['outside of one', 'run'],
    ] as const)('shows the statement of a stream that waits for its next row, %s', async (_where, method) => {
      const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
      const lock = await lockNotes(factory);
      const reader = factory[method](
        (session) => Array.fromAsync(session.stream(Note, { where: { text: 'a secret' } })),
        {
          label: 'reader',
        },
      );
      await blocked(app);

      const state = await stateOf(url, ALLOWED);
      await Promise.all([lock.release(), reader]);

      expect(state.live.scopes.find(({ label }) => label === 'reader')).toMatchObject({
        waitsFor: 'statement',
        waitsSince: expect.any(Number),
        statement: expect.stringMatching(/^select .* from "note" .* where "n0"."text" = \?$/),
        connections: [expect.any(Number)],
      });
      expect(JSON.stringify(state)).not.toContain('secret');
    });

    it('ends a scope from the page of this server alone', async () => {
      const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
      const begun = Promise.withResolvers<void>();
      const over = Promise.withResolvers<void>();
      const work = factory.begin(
        async (session) => {
          await session.count(Note);
          begun.resolve();
          await over.promise;
          return session.count(Note);
        },
        { label: 'endless' },
      );
      await begun.promise;
      const { id = '' } = (await stateOf(url, ALLOWED)).live.scopes.find(({ label }) => label === 'endless') ?? {};
      const post = (headers: Record<string, string>): Promise<Response> =>
        fetch(`${url}/scopes/${id}/end`, { method: 'POST', headers: { ...ALLOWED.headers, ...headers } });

      const plain = await post({});
      const foreign = await post({ 'x-session-inspector': '1', 'sec-fetch-site': 'cross-site' });
      const own = await post({ 'x-session-inspector': '1' });
      over.resolve();

      expect([plain.status, foreign.status, own.status]).toEqual([403, 403, 200]);
      await expect(work).rejects.toMatchObject({ code: 'SESSION_CLOSED' });
      const { ended } = await stateOf(url, ALLOWED);
      expect(ended.find((scope) => scope.id === id)).toMatchObject({ label: 'endless', outcome: 'aborted' });
    });

    it('keeps the last scopes alone, with how they ended', async () => {
      const jobs = app.get<JobService<EntityManager>>(JobService);
      const worker = async (session: EntityManager, n: number): Promise<void> => {
        await session.count(Note);
        if (n % 2 === 1) {
          throw new Error(`job <i>${n}</i> failed`);
        }
      };

      await jobs.settle([...Array(30).keys()], worker, { label: 'Odd', concurrency: 2 });

      const { ended, runs } = await stateOf(url, ALLOWED);
      expect(ended).toHaveLength(20);
      expect(ended.at(-1)).toMatchObject({ kind: 'job', label: expect.stringMatching(/^job \d+ of Odd$/) });
      expect(ended.every(({ parts }) => parts.some(([kind]) => kind === 'transaction'))).toBe(true);
      expect(new Set(ended.map(({ outcome }) => outcome))).toEqual(new Set(['committed', 'failed']));
      expect(ended.find(({ outcome }) => outcome === 'failed')?.error).toMatch(/^job <i>\d+<\/i> failed$/);
      expect(runs.at(-1)).toMatchObject({ label: 'Odd', total: 30, done: 15, failed: 15, lanes: 2 });
      expect(runs.at(-1)?.failures.at(-1)).toMatchObject({
        ending: 'failed',
        message: expect.stringContaining('failed'),
      });
    });

    it('has the runs in the order in which they began', async () => {
      const jobs = app.get<JobService<EntityManager>>(JobService);
      const isOver = Promise.withResolvers<void>();

      const first = jobs.map([1], () => isOver.promise, { label: 'First' });
      await jobs.map([1], (session) => session.count(Note), { label: 'Second' });
      isOver.resolve();
      await first;

      const { runs } = await stateOf(url, ALLOWED);
      expect(runs.slice(-2).map(({ label }) => label)).toEqual(['First', 'Second']);
    });

    it('gives a scope that has ended one id, that which its own code has been told', async () => {
      const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
      const context = app.get<SessionContext<EntityManager>>(SessionContext);
      const idOf = (asked: 'early' | 'never'): Promise<string | undefined> =>
        factory.run(() => (asked === 'early' ? context.scope?.id : undefined), { label: `id asked ${asked}` });

      const early = await idOf('early');
      await idOf('never');
      const [before, after] = [await stateOf(url, ALLOWED), await stateOf(url, ALLOWED)];

      const ids = before.ended.slice(-2).map(({ label, id }) => [label, id]);
      expect(ids).toEqual([
        ['id asked early', early],
        ['id asked never', expect.stringMatching(/^[-0-9a-f]{36}$/)],
      ]);
      expect(after.ended.slice(-2).map(({ label, id }) => [label, id])).toEqual(ids);
    });

    it('tells differences, at most ten times a second', async () => {
      const jobs = app.get<JobService<EntityManager>>(JobService);
      await using reader = await EventReader.open(`${url}/events`, ALLOWED);

      await jobs.map(Array(500).keys(), (session) => session.count(Note), { label: 'Count' });
      const isOver = (): boolean =>
        reader.changes.some(({ runs }) =>
          runs?.some(({ label, endedAt }) => label === 'Count' && endedAt !== undefined),
        );
      await reader.until(isOver);

      const times = reader.changes.map(({ at }) => at);
      const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0));
      expect(reader.changes.flatMap(({ ended = [] }) => ended).length).toBeGreaterThan(0);
      expect(gaps.filter((gap) => gap < 95)).toEqual([]);
    });

    it('shows a request, and what was refused with its remedy', async () => {
      await fetch(`${app.url}/api/notes`);
      const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
      await factory.run(async (session) => {
        await Promise.allSettled([session.begin(), session.begin()]);
        await session.rollback();
      });

      const { ended, misuse } = await stateOf(url, ALLOWED);

      expect(ended.find(({ kind }) => kind === 'request')).toMatchObject({
        label: 'GET /api/notes',
        outcome: 'committed',
      });
      expect(misuse.at(-1)).toMatchObject({
        code: 'CONCURRENT_SESSION_USE',
        remedy: expect.stringContaining('Await the first call'),
      });
    });

    it('reports code that asks for the current session after the end of its scope', async () => {
      const context = app.get<SessionContext<EntityManager>>(SessionContext);
      const over = Promise.withResolvers<void>();
      let late: Promise<unknown> = Promise.resolve();
      await app.get<SessionFactory<EntityManager>>(SessionFactory).run(
        () => {
          late = over.promise.then(() => context.current);
        },
        { label: 'a block that is over' },
      );
      over.resolve();

      await expect(late).rejects.toMatchObject({ code: 'SESSION_CLOSED' });

      const { misuse } = await stateOf(url, ALLOWED);
      expect(misuse.at(-1)).toMatchObject({
        code: 'SESSION_CLOSED',
        scope: 'a block that is over',
        remedy: expect.stringContaining('Await everything'),
      });
    });

    it('ends its streams when the application closes, and opens no scope for them that lives on', async () => {
      const reader = await EventReader.open(`${url}/events`, ALLOWED);
      const live = app.get<SessionRegistry>(SessionRegistry).list();

      await app.app.close();
      await reader.ended;

      expect(live).toEqual([]);
    });
  });

  describe('without authorize', () => {
    let app: TestApp;

    beforeAll(async () => {
      app = await startTestApp({ databaseUrl: database.url, platform, imports: [SessionInspectorModule.forRoot()] });
    });

    afterAll(async () => {
      await app.app.close();
    });

    it.each<[who: string, status: number, headers: Record<string, string>]>([
      ['this machine', 200, {}],
      ['a proxy that speaks for another', 403, { 'x-forwarded-for': '192.0.2.1' }],
      ['a name that was made to lead here', 403, { host: 'elsewhere.example' }],
    ])('answers %s with %i', async (_who, status, headers) => {
      const { promise, resolve } = Promise.withResolvers<number | undefined>();

      httpRequest(`${app.url}/sessions/state`, { headers }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).end();

      expect(await promise).toBe(status);
    });

    it('ends no scope, for `actions` is off', async () => {
      const response = await fetch(`${app.url}/sessions/scopes/any/end`, {
        method: 'POST',
        headers: { 'x-session-inspector': '1' },
      });

      expect(response.status).toBe(403);
      expect(await response.text()).toContain('actions: true');
    });
  });
});

describe('SessionInspectorModule', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(async () => {
    await database.drop();
  });

  it('does not start in production without authorize', async () => {
    const before = process.env['NODE_ENV'];
    process.env['NODE_ENV'] = 'production';
    try {
      const start = startTestApp({ databaseUrl: database.url, imports: [SessionInspectorModule.forRoot()] });

      await expect(start).rejects.toMatchObject({
        code: 'SESSION_SETUP',
        message: expect.stringContaining('authorize'),
      });
    } finally {
      process.env['NODE_ENV'] = before;
    }
  });

  it.each([{ history: 0 }, { authorize: 'yes' }, { unknown: 1 }, { path: 'a path' }])('refuses %j', (options) => {
    expect(() => SessionInspectorModule.forRoot(options as never)).toThrow(TypeError);
  });
});
