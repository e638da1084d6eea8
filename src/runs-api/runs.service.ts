import { EntityManager } from '@mikro-orm/postgresql';
import { ConflictException, Injectable, type MessageEvent, NotFoundException } from '@nestjs/common';
import { InjectSession, SessionContext } from 'nestjs-mikro-session';
import type { Observable } from 'rxjs';

import { Instance } from '../runs/instance.js';
import { QueueRunWatch } from '../queue-runs/queue-run-watch.js';
import { QueueRuns } from '../queue-runs/queue-runs.js';
import { Factorisation } from '../runs/factorisation.entity.js';
import type { PageQuery } from './page-query.js';
import type { ResultPage } from './result-page.js';
import type { RunPage } from './run-page.js';
import { toResultView } from './result-view.js';
import { toCurrentView, toCurrentViews } from '../runs/to-current-view.js';
import { createRun } from '../runs/create-run.js';
import { endEvent, runEvents, runEventsFromOutside } from './run-events.js';
import type { NumberList } from '../runs/number-list.js';
import { RunAdmission } from './run-admission.js';
import { RunExecutor } from '../runs/run-executor.js';
import { assertRoomFor, NO_LOAD } from '../runs/assert-room-for.js';
import { RunLog } from '../runs/run-log.js';
import { Run } from '../runs/run.entity.js';
import { type RunView, toRunView } from '../runs/run-view.js';
import { numbersOf, type Simulation, type StartRunRequest } from '../runs/start-run.request.js';

/** The operations of clients on runs. Works in the session of the request. */
@Injectable()
export class RunsService {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext,
    private readonly instance: Instance,
    private readonly executor: RunExecutor,
    private readonly queueRuns: QueueRuns,
    private readonly watch: QueueRunWatch,
    private readonly admission: RunAdmission,
    private readonly log: RunLog,
  ) {}

  async start(request: StartRunRequest): Promise<RunView> {
    const numbers = numbersOf(request);
    const simulate = request.simulate ?? {};
    const give = this.admission.enter(numbers.length, request.engine === 'process' ? this.executor.load : NO_LOAD);
    try {
      return await this.#start(request, numbers, simulate);
    } finally {
      give();
    }
  }

  async #start(request: StartRunRequest, numbers: NumberList, simulate: Simulation): Promise<RunView> {
    if (request.engine === 'queue') {
      assertRoomFor(numbers.length, await this.queueRuns.load(this.session));
    }
    const view = await this.session.transactional(async () => {
      const run = createRun(this.session, {
        engine: request.engine,
        instanceId: request.engine === 'process' ? this.instance.id : null,
        total: numbers.length,
        concurrency: request.concurrency,
        requestSessionId: this.context.scope.id,
      });
      await this.session.flush();
      if (request.engine === 'queue') {
        await this.queueRuns.send(run, numbers, simulate);
      }
      return toRunView(run);
    });
    if (request.engine === 'process') {
      this.executor.start(view, { numbers, simulate });
    } else {
      this.watch.lookNow();
    }
    return view;
  }

  async list({ offset, limit }: PageQuery): Promise<RunPage> {
    // Read before the query: a run that ends in the meantime is newer in memory than in the answer of the database.
    const live = new Map(this.executor.live);
    const [runs, total] = await this.session.findAndCount(
      Run,
      {},
      { orderBy: { createdAt: 'desc', id: 'desc' }, offset, limit },
    );
    const elsewhere = await toCurrentViews(
      this.session,
      runs.filter(({ id }) => !live.has(id)),
    );
    const views = new Map(elsewhere.map((view) => [view.id, view]));
    const items = runs.map((run) => live.get(run.id)?.view ?? views.get(run.id) ?? toRunView(run));
    return { total, offset, limit, items };
  }

  async find(id: string): Promise<RunView> {
    const live = this.executor.live.get(id);
    const run = await this.session.findOne(Run, { id }, { refresh: true });
    if (run === null) {
      throw new NotFoundException(`There is no run "${id}".`);
    }
    return live?.view ?? toCurrentView(this.session, run);
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
    if (live !== undefined) {
      return runEvents(live);
    }
    const run = await this.find(id);
    return run.finishedAt === null ? runEventsFromOutside(this.watch.follow(id)) : endEvent(run);
  }

  async cancel(id: string): Promise<RunView> {
    const isCancelled = await this.#stop(id);
    const run = await this.find(id);
    if (!isCancelled || run.state !== 'cancelled') {
      const why = run.finishedAt === null ? 'another process runs it' : `it is ${run.state} already`;
      throw new ConflictException(`The run "${id}" cannot be cancelled: ${why}.`);
    }
    if (run.engine === 'queue') {
      this.log.ended(run);
    }
    return run;
  }

  /** Lets the running jobs of this process finish, and waits for them. Those of the queue are rolled back. */
  async #stop(id: string): Promise<boolean> {
    const live = this.executor.live.get(id);
    if (live !== undefined) {
      live.stop('cancelled');
      await live.ended;
      return true;
    }
    const run = await this.find(id);
    return run.engine === 'queue' && this.session.transactional(() => this.queueRuns.cancel(this.session, run));
  }
}
