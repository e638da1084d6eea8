import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, Injectable, Param } from '@nestjs/common';
import { InjectSession, JobService, SessionContext, SessionFactory } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type Strategy, strategies } from './strategies.js';

const TENANTS = ['a', 'b'] as const;
const REQUESTS = 200;
/** How many places look at the rows in one request, each of which finds one row at least. */
const PLACES = 5;

/** Returns the tenants of the newest rows that a session gets to see: its own, and nothing else. */
async function tenantsOf(session: EntityManager): Promise<string[]> {
  const notes = await session.find(Note, {}, { orderBy: { id: 'desc' }, limit: 5, disableIdentityMap: true });
  return notes.map(({ tenant }) => tenant);
}

@Injectable()
class Notes {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext,
  ) {}

  async add(text: string): Promise<string[]> {
    this.session.create(Note, { text, tenant: this.context.scope.info['tenant'] as string });
    await this.session.flush();
    return tenantsOf(this.session);
  }
}

@Injectable()
class NoteWorker {
  constructor(private readonly notes: Notes) {}

  handle(text: string): Promise<string[]> {
    return this.notes.add(text);
  }
}

@Controller()
class NotesController {
  constructor(
    private readonly notes: Notes,
    @InjectSession() private readonly session: EntityManager,
    private readonly jobs: JobService<EntityManager>,
    private readonly factory: SessionFactory<EntityManager>,
    private readonly context: SessionContext<EntityManager>,
  ) {}

  @Get(':n')
  async get(@Param('n') n: string): Promise<string[]> {
    const callback = Promise.withResolvers<string[]>();
    const own = await this.notes.add(`request ${n}`);
    const [job = []] = await this.jobs.map([`job of ${n}`], NoteWorker);
    const block = await this.factory.begin(tenantsOf);
    this.context.afterCommit(() => tenantsOf(this.context.current).then(callback.resolve, callback.reject));
    const transaction = await this.session.transactional(tenantsOf);
    return [own, job, block, transaction, await callback.promise].flat();
  }
}

describe.each(strategies)('two tenants with $name', (strategy: Strategy) => {
  let database: TestDatabase;
  let app: TestApp;

  beforeEach(async () => {
    database = await createTestDatabase();
  });

  afterEach(async () => {
    await app.close();
    await strategy.cleanUp(database);
    await database.drop();
  });

  const start = async (): Promise<void> => {
    const { platform, injection, orm, fork } = strategy;
    app = await startTestApp({
      databaseUrl: database.url,
      platform,
      orm,
      session: { injection, fork, http: { info: ({ headers }) => ({ tenant: headers['x-tenant'] }) } },
      controllers: [NotesController],
      providers: [Notes, NoteWorker],
    });
    await strategy.prepare(database);
  };

  it('never see a row of the other in 200 requests that interleave, nor in what they start', async () => {
    await start();

    const seen = await Promise.all(
      Array.from({ length: REQUESTS }, async (_, n) => {
        const tenant = TENANTS[n % 2]!;
        const response = await fetch(`${app.url}/${n}`, { headers: { 'x-tenant': tenant } });
        return { tenant, status: response.status, tenants: (await response.json()) as string[] };
      }),
    );

    expect(seen.filter(({ status }) => status !== 200)).toEqual([]);
    expect(seen.filter(({ tenants }) => tenants.length < PLACES)).toEqual([]);
    expect(seen.filter(({ tenant, tenants }) => tenants.some((other) => other !== tenant))).toEqual([]);
  }, 60_000);

  it('are refused a session where nobody said which of them it is for', async () => {
    await start();
    app.app.useLogger(false);

    const response = await fetch(`${app.url}/1`);
    const outcomes = await app.get<JobService<EntityManager>>(JobService).settle([1], tenantsOf);
    const block = app.get<SessionFactory<EntityManager>>(SessionFactory).begin(tenantsOf, { label: 'nightly' });

    expect(response.status).toBe(500);
    expect(outcomes).toMatchObject([{ status: 'rejected', reason: expect.any(TypeError) }]);
    await expect(block).rejects.toThrow(strategy.refusal);
  });

  it.each(['', '   ', '*'])('are refused to a client that names none of them, but "%s"', async (tenant) => {
    await start();
    app.app.useLogger(false);

    const response = await fetch(`${app.url}/1`, { headers: { 'x-tenant': tenant } });

    expect(strategy.name === 'a schema for each' ? response.status : 500).toBe(500);
    expect(await response.text()).not.toContain('"a"');
  });
});
