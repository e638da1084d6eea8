import { RequestContext } from '@mikro-orm/core';
import { CreateRequestContext, EnsureRequestContext } from '@mikro-orm/decorators/legacy';
import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, Injectable } from '@nestjs/common';
import { InSession, JobService, SessionContext, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { injections, platforms, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

class OnPurpose extends Error {}

@Injectable()
class Logbook {
  constructor(
    readonly em: EntityManager,
    readonly context: SessionContext,
  ) {}

  async write(text: string): Promise<void> {
    this.em.create(Note, { text });
    if (text === 'bad') {
      throw new OnPurpose();
    }
    await this.em.flush();
  }

  @CreateRequestContext()
  async writeApart(text: string): Promise<unknown> {
    await this.write(text);
    return this.context.current;
  }

  @EnsureRequestContext()
  async writeAlong(text: string): Promise<unknown> {
    this.em.create(Note, { text });
    return this.context.current;
  }

  /** Writes with `create`, which is refused for one of them, beside what the caller has not flushed. */
  async writeAll(write: (text: string) => Promise<unknown>): Promise<void> {
    this.em.create(Note, { text: 'of the caller' });
    for (const text of ['1', 'bad', '3']) {
      await write(text).catch(() => undefined);
    }
    await Promise.allSettled(['4', 'bad', '6'].map((text) => write(text)));
    this.em.clear();
  }

  @InSession()
  async inSession(work: () => Promise<void>): Promise<void> {
    await work();
  }
}

@Controller()
class LogController {
  constructor(private readonly logbook: Logbook) {}

  @Get('isolated')
  async isolated(): Promise<void> {
    await this.logbook.writeAll((text) => this.logbook.writeApart(text));
  }

  @Get('joined')
  async joined(): Promise<boolean> {
    const session = this.logbook.context.current;
    session.create(Note, { text: 'handler' });
    const found = await this.logbook.writeAlong('ensured');
    await session.flush();
    return found === session;
  }
}

describe.each(platforms)('a context of MikroORM in a request over %s', (platform) => {
  let database: TestDatabase;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      platform,
      session: { injection: 'contextual' },
      providers: [Logbook],
      controllers: [LogController],
      orm: { pool: { min: 0, max: 10 } },
    });
  });

  afterEach(() => database.query('delete from note'));

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const texts = (): Promise<string[]> => findTexts(database, 'text');

  it('has a session of its own', async () => {
    expect((await fetch(`${app.url}/isolated`)).status).toBe(200);

    expect(await texts()).toEqual(['1', '3', '4', '6']);
  });

  it('is joined by @EnsureRequestContext()', async () => {
    expect(await (await fetch(`${app.url}/joined`)).text()).toBe('true');

    expect(await texts()).toEqual(['ensured', 'handler']);
  });
});

describe.each(injections)('a context of MikroORM, with %s injection', (injection) => {
  let database: TestDatabase;
  let app: TestApp;
  let factory: SessionFactory<EntityManager>;
  let logbook: Logbook;
  let em: EntityManager;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      session: { injection },
      providers: [Logbook],
      orm: { pool: { min: 0, max: 10 } },
    });
    factory = app.get(SessionFactory);
    logbook = app.get(Logbook);
    ({ em } = logbook);
  });

  afterEach(async () => {
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
    await database.query('delete from note');
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const texts = (): Promise<string[]> => findTexts(database, 'text');

  const places: Record<string, (work: () => Promise<void>) => Promise<unknown>> = {
    'SessionFactory.run()': (work) => factory.run(work),
    'SessionFactory.begin()': (work) => factory.begin(work),
    'a job': (work) => app.get<JobService<EntityManager>>(JobService).map([1], work),
    'a method with @InSession()': (work) => logbook.inSession(work),
    'transactional()': (work) => factory.run((session) => session.transactional(work)),
    'another context': (work) => factory.run(() => RequestContext.create(em, work)),
  };

  const ways: Record<string, (text: string) => Promise<unknown>> = {
    'RequestContext.create()': (text) => RequestContext.create(em, () => logbook.write(text)),
    '@CreateRequestContext()': (text) => logbook.writeApart(text),
  };

  describe.each(Object.keys(places))('in %s', (place) => {
    it.each(Object.keys(ways))('has a session of its own by %s', async (way) => {
      await places[place]!(() => logbook.writeAll(ways[way]!));

      expect(await texts()).toEqual(['1', '3', '4', '6']);
    });

    it('is joined by @EnsureRequestContext()', async () => {
      await places[place]!(async () => {
        expect(await logbook.writeAlong('ensured')).toBe(logbook.context.current);
        await em.flush();
      });

      expect(await texts()).toEqual(['ensured']);
    });
  });

  it('is not the transaction of the caller', async () => {
    await expect(
      factory.begin(async () => {
        await RequestContext.create(em, () => logbook.write('apart'));
        throw new OnPurpose();
      }),
    ).rejects.toThrow(OnPurpose);

    expect(await texts()).toEqual(['apart']);
  });

  it('gives its session the options it was opened with', async () => {
    await factory.run(() =>
      RequestContext.create(em, async () => expect(em.schema).toBe('other'), { schema: 'other' }),
    );
  });

  it('closes its session at its end', async () => {
    await factory.run(async () => {
      const session = await RequestContext.create(em, async () => logbook.context.current);

      expect(() => session.clear()).toThrow('"RequestContext in SessionFactory.run"');
    });
  });

  it('is the session around it for a middleware that only goes on', async () => {
    await factory.run((session) => {
      RequestContext.create(em, (_error?: unknown) => expect(logbook.context.current).toBe(session));
    });
  });

  it('goes on for what a callback that is not asynchronous has started', async () => {
    await factory.run(async (session) => {
      let started: Promise<unknown> | undefined;
      RequestContext.create(em, () => {
        started = Promise.resolve().then(() => logbook.context.current);
      });

      expect(await started).toBe(session);
    });
  });

  it('lets a context outside of every scope be that of MikroORM', async () => {
    await RequestContext.create(em, () => logbook.write('outside'));

    expect(await texts()).toEqual(['outside']);
  });
});
