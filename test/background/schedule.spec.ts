import { setImmediate as nextTurn } from 'node:timers/promises';

import { EntityManager } from '@mikro-orm/postgresql';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { Inject, Injectable, Scope } from '@nestjs/common';
import { Cron, CronExpression, Interval, ScheduleModule, SchedulerRegistry, Timeout } from '@nestjs/schedule';
import { Test } from '@nestjs/testing';
import { InSession, SessionClosedError, SessionContext, SessionModule } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { findTexts } from '../support/find-texts.js';
import { noLiveScope } from '../support/no-live-scope.js';
import { Note } from '../support/note.entity.js';
import { injections, ormOptions, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

/** Waits for what is logged after all else. */
async function logged(log: CapturedLog): Promise<void> {
  while (log.errors.length === 0) {
    await nextTurn();
  }
}

const LONG_MS = 1_000_000;
const never = { disabled: true };

@Injectable()
class Ticker {
  readonly interval = Promise.withResolvers<string>();
  readonly timeout = Promise.withResolvers<string>();
  work: (session: EntityManager) => unknown = () => undefined;

  constructor(
    @Inject(SessionContext) private readonly context: SessionContext<EntityManager>,
    private readonly em: EntityManager,
  ) {}

  @Cron(CronExpression.EVERY_YEAR, { name: 'plain', ...never })
  async plain(): Promise<void> {
    await this.work(this.em);
  }

  @Cron(CronExpression.EVERY_YEAR, { name: 'above', ...never })
  @InSession({ transaction: true })
  async above(): Promise<void> {
    await this.work(this.em);
  }

  @InSession({ transaction: true })
  @Cron(CronExpression.EVERY_YEAR, { name: 'below', ...never })
  async below(): Promise<void> {
    await this.work(this.em);
  }

  @Interval('often', 1)
  async onInterval(): Promise<void> {
    this.interval.resolve(`${this.context.scope.kind} ${this.context.scope.label} ${this.em.isInTransaction()}`);
  }

  @Timeout('once', 1)
  onTimeout(): void {
    this.timeout.resolve(`${this.context.scope.kind} ${this.context.scope.label} ${this.em.isInTransaction()}`);
  }
}

@Injectable({ scope: Scope.REQUEST })
class RequestScopedTicker {
  @Interval(LONG_MS)
  async tick(): Promise<void> {}
}

describe.each(injections)('@nestjs/schedule with %s injection', (injection) => {
  let database: TestDatabase;
  let app: TestApp;
  let ticker: Ticker;
  let context: SessionContext<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      session: { injection, unflushed: 'error' },
      imports: [ScheduleModule.forRoot()],
      providers: [Ticker],
    });
    ticker = app.get(Ticker);
    context = app.get(SessionContext);
  });

  afterEach(async () => {
    await noLiveScope(app);
    await database.query('delete from note');
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  /** Fires a job once, as the clock would. Nobody waits for a tick. */
  const fire = (name: string): void => {
    void app.get<SchedulerRegistry>(SchedulerRegistry).getCronJob(name).fireOnTick();
  };
  const texts = (): Promise<string[]> => findTexts(database, 'text');

  /** Fires a job and gives what `work` returned in it, when the scope of the tick has ended. */
  async function tick<Result>(name: string, work: (session: EntityManager) => Promise<Result>): Promise<Result> {
    const worked = Promise.withResolvers<Result>();
    const closed = Promise.withResolvers<void>();
    ticker.work = async (session) => {
      context.onClose(() => closed.resolve());
      const result = work(session);
      worked.resolve(result);
      await result;
    };
    fire(name);
    await Promise.allSettled([closed.promise, worked.promise]);
    return worked.promise;
  }

  it('gives a tick a session of its own', async () => {
    const seen = await tick('plain', async (session) => {
      session.create(Note, { text: 'a' });
      await session.flush();
      return [context.scope.kind, context.scope.label, session.id === context.current.id, app.orm.em.id === session.id];
    });

    expect(seen).toEqual(['tick', 'cron Ticker.plain', true, true]);
    expect(await texts()).toEqual(['a']);
    expect(context.tryScope).toBeUndefined();
  });

  it('gives a tick that overlaps the one before another session', async () => {
    const both = Promise.withResolvers<void>();
    const sessions: number[] = [];
    ticker.work = async (session) => {
      sessions.push(session.id);
      if (sessions.length === 2) {
        both.resolve();
      }
      await both.promise;
      sessions.push(session.id);
      done[sessions.length - 3]?.resolve();
    };
    const done = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];

    fire('plain');
    fire('plain');
    await Promise.all(done.map(({ promise }) => promise));

    expect(new Set(sessions).size).toBe(2);
    expect(sessions.slice(0, 2)).toEqual(sessions.slice(2));
  });

  it('gives ticks of an interval and of a timeout one as well', async () => {
    expect(await ticker.interval.promise).toBe('tick interval Ticker.onInterval false');
    expect(await ticker.timeout.promise).toBe('tick timeout Ticker.onTimeout false');
  });

  it('rolls back what a failing tick left open, and leaves the error to the scheduler', async () => {
    using log = new CapturedLog();

    const failed = tick('plain', async (session) => {
      await session.begin();
      await session.persist(session.create(Note, { text: 'a' })).flush();
      throw new Error('no');
    });

    await expect(failed).rejects.toThrow('no');
    await logged(log);
    expect(log.errors).toEqual(['Error: no']);
    expect(await texts()).toEqual([]);
  });

  it('leaves a failure of the end of a tick to the scheduler', async () => {
    using log = new CapturedLog();

    await tick('plain', async (session) => {
      session.create(Note, { text: 'a' });
    });

    await logged(log);
    expect(log.errors).toEqual([expect.stringContaining('The scope "cron Ticker.plain" ended with 1 unflushed')]);
  });

  it('closes the session at the end of the tick', async () => {
    const gate = Promise.withResolvers<void>();
    let late: Promise<unknown> = Promise.resolve();
    await tick('plain', async (session) => {
      late = gate.promise.then(() => session.count(Note));
    });

    gate.resolve();

    await expect(late).rejects.toThrow(SessionClosedError);
    await expect(late).rejects.toThrow('The session of "cron Ticker.plain" was used after its end: it had returned.');
  });

  it.each(['above', 'below'])('has the transaction of an @InSession() with @Cron() %s it', async (place) => {
    const label = await tick(place, async (session) => {
      session.create(Note, { text: 'a' });
      return context.scope.label;
    });

    expect(label).toBe(`cron Ticker.${place}`);
    expect(await texts()).toEqual(['a']);
  });

  it('leaves out request-scoped providers, as the scheduler does', async () => {
    const other = await startTestApp({
      databaseUrl: database.url,
      session: { injection },
      imports: [ScheduleModule.forRoot()],
      providers: [RequestScopedTicker],
    });

    expect(other.get<SchedulerRegistry>(SchedulerRegistry).getIntervals()).toEqual([]);
    await other.close();
  });
});

describe('@nestjs/schedule imported before SessionModule', () => {
  it('still gives a tick a session', async () => {
    const database = await createTestDatabase();
    const module = await Test.createTestingModule({
      imports: [ScheduleModule.forRoot(), MikroOrmModule.forRoot(ormOptions(database.url)), SessionModule.forRoot()],
      providers: [Ticker],
    }).compile();
    const app = await module.createNestApplication({ logger: ['error'] }).init();

    expect(await app.get(Ticker).timeout.promise).toBe('tick timeout Ticker.onTimeout false');
    await app.close();
    await database.drop();
  });
});
