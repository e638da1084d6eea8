import { once } from 'node:events';
import { Readable } from 'node:stream';

import { EntityManager } from '@mikro-orm/postgresql';
import { All, Controller, Param, StreamableFile } from '@nestjs/common';
import { InjectSession, JobService, SessionContext, SessionFactory } from 'nestjs-mikro-session';
import { JobQueue } from 'nestjs-mikro-session/pg-boss';

import { Ledger } from '../ledger.js';
import { Mark } from './mark.entity.js';
import { mark } from './mark.workers.js';
import { MarksService } from './marks.service.js';

/** Uses the session of a request in every way. The ledger learns how the library said each of them ended. */
@Controller()
export class MarksController {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly marks: MarksService,
    private readonly factory: SessionFactory<EntityManager>,
    private readonly jobs: JobService<EntityManager>,
    private readonly queue: JobQueue<EntityManager>,
    private readonly context: SessionContext<EntityManager>,
    private readonly ledger: Ledger,
  ) {}

  @All('transaction/:key')
  transaction(@Param('key') key: string): Promise<string> {
    return this.ledger.record(key, () =>
      this.session.transactional((em) => {
        em.create(Mark, { key, source: 'transaction' });
        return key;
      }),
    );
  }

  @All('flush/:key')
  async flush(@Param('key') key: string): Promise<string> {
    this.session.create(Mark, { key, source: 'flush' });
    await this.ledger.record(key, () => this.session.flush());
    return `${await this.session.count(Mark, { key })}`;
  }

  @All('begin/:key')
  begin(@Param('key') key: string): Promise<string> {
    return this.ledger.record(key, () =>
      this.factory.begin((session) => {
        session.create(Mark, { key, source: 'begin' });
        return key;
      }),
    );
  }

  @All('in-session/:key')
  inSession(@Param('key') key: string): Promise<void> {
    return this.ledger.record(key, () => this.marks.inSession(key));
  }

  /** A job of the queue goes with the mark, or not at all. */
  @All('order/:key')
  order(@Param('key') name: string): Promise<string> {
    const key = `lot:${name}`;
    return this.ledger.record(key, () =>
      this.factory.begin(async (session) => {
        session.create(Mark, { key, source: 'order' });
        await this.queue.send('work', { key: `job of ${key}`, deed: 'write', lot: key });
        return key;
      }),
    );
  }

  @All('jobs/:key')
  async settle(@Param('key') key: string): Promise<string[]> {
    const inputs = [1, 2, 3].map((part) => ({ key: `${key}.${part}`, deed: 'flush' as const }));
    inputs.forEach((input) => this.ledger.tell(input.key, 'unheard'));
    const outcomes = await this.jobs.settle(inputs, mark, { concurrency: 2, timeout: 2_000 });
    outcomes.forEach((outcome) => this.ledger.tellOutcome(outcome.input.key, outcome));
    return outcomes.map(({ status }) => status);
  }

  @All('savepoint/:key')
  savepoint(@Param('key') key: string): Promise<string> {
    return this.ledger.record(key, () =>
      this.session.transactional(async (em) => {
        em.create(Mark, { key, source: 'savepoint' });
        await em.flush();
        await em.transactional(() => em.execute('select 1 / 0')).catch(() => undefined);
        return key;
      }),
    );
  }

  @All('throw/:key')
  async throw(@Param('key') key: string): Promise<void> {
    this.ledger.tell(key, 'absent');
    await this.session.transactional(async (em) => {
      em.create(Mark, { key, source: 'throw' });
      await em.flush();
      throw new Error('The request was to fail');
    });
  }

  @All('left-open/:key')
  async leftOpen(@Param('key') key: string): Promise<string> {
    this.ledger.tell(key, 'absent');
    await this.session.begin();
    this.session.create(Mark, { key, source: 'left open' });
    await this.session.flush();
    return 'without a commit';
  }

  /** Waits for what does not come, until its client is gone. */
  @All('never/:key')
  async never(@Param('key') key: string): Promise<void> {
    const { signal } = this.context.scope;
    await this.leftOpen(key);
    signal.throwIfAborted();
    await once(signal, 'abort');
  }

  @All('refused/:key')
  refused(): Promise<unknown> {
    return this.session.execute('select 1 / 0');
  }

  @All('slow/:key')
  slow(): Promise<unknown> {
    return this.session.execute('select pg_sleep(0.3)');
  }

  @All('stream/:key')
  stream(): StreamableFile {
    return new StreamableFile(Readable.from(this.rows()));
  }

  private async *rows(): AsyncGenerator<string, void> {
    const builder = this.session.createQueryBuilder(Mark, 'm').limit(2_000);
    for await (const { key } of this.session.stream(Mark, { orderBy: { id: 'asc' }, limit: 2_000 })) {
      yield `${key}\n`;
    }
    yield `${await builder.getCount()} rows`;
  }
}
