import { AsyncLocalStorage } from 'node:async_hooks';

import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Headers, Injectable, type OnModuleInit, Post } from '@nestjs/common';
import {
  InjectSession,
  type JobWorker,
  SessionContext,
  SessionFactory,
  SessionOwnershipError,
  SessionRegistry,
} from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { noLiveScope } from '../support/no-live-scope.js';
import { useTestApp } from '../support/use-test-app.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    looks: string;
    'looks-in-chunks': string;
  }
}

/** What was around when a job was handled. */
interface Look {
  readonly input: string;
  readonly session: EntityManager;
  readonly sessionId: number | string;
  readonly kind: string;
  readonly scope: string;
  readonly info: Readonly<Record<string, unknown>>;
  readonly user: string | undefined;
}

const user = new AsyncLocalStorage<string>();

@Injectable()
class Looks {
  readonly seen: Look[] = [];
  /** Called by each handler. */
  meet: () => Promise<void> = () => Promise.resolve();

  constructor(private readonly context: SessionContext<EntityManager>) {}

  async take(input: string, session: EntityManager): Promise<void> {
    const { kind, id, info } = this.context.scope;
    this.seen.push({ input, session, sessionId: session.id, kind, scope: id, info, user: user.getStore() });
    await this.meet();
  }
}

@Injectable()
@JobHandler({ queue: 'looks' })
class LookHandler implements JobWorker<string, void> {
  constructor(
    private readonly looks: Looks,
    @InjectSession() private readonly session: EntityManager,
  ) {}

  handle(input: string): Promise<void> {
    return this.looks.take(input, this.session);
  }
}

@Injectable()
@JobHandler({ queue: 'looks-in-chunks', chunkSize: 10, localConcurrency: 1 })
class ChunkLookHandler extends LookHandler {}

/** Has pg-boss started by the first who needs it, in a scope and a context of its own. */
@Injectable()
class EarlyBird implements OnModuleInit {
  constructor(
    private readonly queue: JobQueue,
    private readonly sessions: SessionFactory,
  ) {}

  async onModuleInit(): Promise<void> {
    await user.run('early bird', () => this.sessions.run(() => this.queue.boss(), { info: { tenant: 'birds' } }));
  }
}

@Controller('looks')
class LookController {
  constructor(
    private readonly queue: JobQueue,
    @InjectSession() private readonly session: EntityManager,
  ) {}

  @Post()
  async send(@Headers('x-count') count: string): Promise<void> {
    await this.session.execute('select 1');
    const inputs = Array.from({ length: Number(count) }, (_, nth) => `look ${nth}`);
    await user.run('requester', () => this.queue.sendMany('looks', inputs));
  }
}

describe('the handlers of a queue', () => {
  let looks: Looks;
  let queue: JobQueue;

  const { app, database } = useTestApp({
    // The workers start in the context of whoever starts the application.
    configure: () => user.enterWith('starter'),
    session: { http: { info: ({ headers }) => ({ tenant: headers['x-tenant'] }) } },
    imports: [JobQueueModule.forRoot()],
    controllers: [LookController],
    providers: [EarlyBird, Looks, LookHandler, ChunkLookHandler],
  });

  beforeAll(() => {
    looks = app.get(Looks);
    queue = app.get(JobQueue);
  });

  afterEach(async () => {
    looks.seen.length = 0;
    looks.meet = () => Promise.resolve();
    await database.query('delete from pgboss.job');
  });

  const untilCompleted = (count: number): Promise<void> =>
    database.until(`select count(*) = $1 from pgboss.job where state = 'completed'`, [count]);

  /** Has each handler wait until so many are there. */
  function meetAt(count: number): void {
    const all = Promise.withResolvers<void>();
    let here = 0;
    looks.meet = () => {
      here += 1;
      if (here === count) {
        all.resolve();
      }
      return all.promise;
    };
  }

  it('each have a session and a scope of their own when they run at once, which are closed after it', async () => {
    meetAt(4);

    await queue.sendMany('looks', ['a', 'b', 'c', 'd']);

    await untilCompleted(4);
    await noLiveScope(app);
    expect(new Set(looks.seen.map(({ sessionId }) => sessionId)).size).toBe(4);
    expect(new Set(looks.seen.map(({ scope }) => scope)).size).toBe(4);
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
  });

  it('cannot use the session of another', async () => {
    const errors: unknown[] = [];
    meetAt(2);
    const { meet } = looks;
    const done = Promise.withResolvers<void>();
    looks.meet = async () => {
      await meet();
      const [first, second] = looks.seen;
      if (errors.length === 0) {
        errors.push('being tried');
        const context = app.get<SessionContext<EntityManager>>(SessionContext);
        const others = context.current.id === first?.sessionId ? second : first;
        errors.push(await others?.session.execute('select 1').catch((error: unknown) => error));
        done.resolve();
      }
      await done.promise;
    };

    await queue.sendMany('looks', ['a', 'b']);

    await untilCompleted(2);
    expect(errors[1]).toBeInstanceOf(SessionOwnershipError);
  });

  it('are in nothing that was around when the queue was started, or the job was sent', async () => {
    const response = await fetch(`${app.url}/looks`, {
      method: 'POST',
      headers: { 'x-tenant': 'blue', 'x-count': '3' },
    });

    expect(response.status).toBe(201);
    await untilCompleted(3);
    expect(looks.seen).toHaveLength(3);
    for (const { kind, info, user } of looks.seen) {
      expect({ kind, info, user }).toEqual({ kind: 'job', info: { tenant: 'blue', queue: 'looks' }, user: undefined });
    }
  });

  it('share the session of a chunk with those of the same tenant alone', async () => {
    const inputs = Array.from({ length: 9 }, (_, nth) => `look ${nth}`);
    const tenants = ['red', 'blue', 'green'];

    await queue.sendMany('looks-in-chunks', inputs, (_input, index) => ({ info: { tenant: tenants[index % 3] } }));

    await untilCompleted(9);
    const bySession = Map.groupBy(looks.seen, ({ sessionId }) => sessionId);
    const groups = [...bySession.values()].map((group) => group.map(({ info }) => info['tenant']));
    expect(groups.toSorted(([a], [b]) => String(a).localeCompare(String(b)))).toEqual([
      ['blue', 'blue', 'blue'],
      ['green', 'green', 'green'],
      ['red', 'red', 'red'],
    ]);
    const given = new Map(looks.seen.map(({ input, info }) => [input, info['tenant']]));
    expect(given).toEqual(new Map(inputs.map((input, nth) => [input, tenants[nth % 3]])));
  });
});
