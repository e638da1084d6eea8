import { randomUUID } from 'node:crypto';

import { EntityManager } from '@mikro-orm/postgresql';
import { ConflictException, Injectable, type MessageEvent, NotFoundException } from '@nestjs/common';
import { InjectSession, SessionContext } from 'nestjs-mikro-session';
import type { Observable } from 'rxjs';

import { Factorisation } from './factorisation.entity.js';
import type { PageQuery, ResultPage, RunPage } from './page.js';
import { toResultView } from './result-view.js';
import { endEvent, eventsOf } from './run-events.js';
import { RunExecutor } from './run-executor.js';
import { Run } from './run.entity.js';
import { type RunView, toRunView } from './run-view.js';
import { numbersOf, type StartRunRequest } from './start-run.request.js';

/** What clients can do with runs. Works in the session of the request. */
@Injectable()
export class RunsService {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext<EntityManager>,
    private readonly executor: RunExecutor,
  ) {}

  async start(request: StartRunRequest): Promise<RunView> {
    const numbers = numbersOf(request);
    const run = this.session.create(Run, {
      id: randomUUID(),
      state: 'pending',
      total: numbers.length,
      done: 0,
      failed: 0,
      concurrency: request.concurrency,
      requestSessionId: this.context.scope.id,
      createdAt: new Date(),
      startedAt: null,
      finishedAt: null,
    });
    await this.session.flush();
    const view = toRunView(run);
    this.executor.start(view, { numbers, simulate: request.simulate ?? {} });
    return view;
  }

  async list({ offset, limit }: PageQuery): Promise<RunPage> {
    // Before the query: a run that ends meanwhile is newer in memory than in the answer of the database.
    const live = new Map(this.executor.live);
    const [runs, total] = await this.session.findAndCount(
      Run,
      {},
      { orderBy: { createdAt: 'desc', id: 'desc' }, offset, limit },
    );
    return { total, offset, limit, items: runs.map((run) => live.get(run.id)?.view ?? toRunView(run)) };
  }

  async find(id: string): Promise<RunView> {
    const live = this.executor.live.get(id);
    const run = await this.session.findOne(Run, { id });
    if (run === null) {
      throw new NotFoundException(`There is no run "${id}".`);
    }
    return live?.view ?? toRunView(run);
  }

  async results(id: string, { offset, limit }: PageQuery): Promise<ResultPage> {
    await this.find(id);
    const [results, total] = await this.session.findAndCount(
      Factorisation,
      { run: id },
      { orderBy: { index: 'asc' }, offset, limit },
    );
    return { total, offset, limit, items: results.map((result) => toResultView(result)) };
  }

  async events(id: string): Promise<Observable<MessageEvent>> {
    const live = this.executor.live.get(id);
    return live === undefined ? endEvent(await this.find(id)) : eventsOf(live);
  }

  /** Lets the running jobs finish, and waits for them. */
  async cancel(id: string): Promise<RunView> {
    const live = this.executor.live.get(id);
    live?.stop('cancelled');
    await live?.ended;
    const run = await this.find(id);
    if (live === undefined || run.state !== 'cancelled') {
      throw new ConflictException(`The run "${id}" cannot be cancelled: it is ${run.state} already.`);
    }
    return run;
  }
}
