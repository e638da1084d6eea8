import { setTimeout as pause } from 'node:timers/promises';

import {
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import { JobService } from 'nestjs-mikro-session';

import { JOB_LANES } from './pool-size.js';
import { FactoriseWorker } from './factorise.worker.js';
import { Lanes, type LaneShare } from './lanes.js';
import { LiveRun } from './live-run.js';
import { FailureLog } from './failure-log.js';
import type { NumberList } from './number-list.js';
import { type NumberAt, type NumberPart, partNumbers } from './part-numbers.js';
import type { RunInfo } from './run-info.js';
import type { RunLoad } from './assert-room-for.js';
import { type RunOutcome, RunResults } from './run-results.js';
import type { RunEnding } from './run-state.js';
import { type RunEnd, RunStore } from './run-store.js';
import type { Simulation } from './start-run.request.js';
import type { RunView } from './run-view.js';

const RETRY_MS = 1_000;

/** The largest number of numbers in a short run. A short run does not wait for the jobs of long runs. */
const SHORT = 100;

export interface RunTask {
  readonly numbers: NumberList;
  readonly simulate: Simulation;
}

interface PartOptions {
  readonly live: LiveRun;
  readonly info: RunInfo;
  readonly lanes: LaneShare;
  readonly count: (outcome: RunOutcome) => Promise<void>;
}

interface StoredEnd extends Pick<RunEnd, 'state' | 'finishedAt'> {
  readonly results: RunResults;
}

/** Executes runs in the background, and keeps the runs of this process. */
@Injectable()
export class RunExecutor implements OnApplicationBootstrap, OnModuleDestroy, OnApplicationShutdown {
  readonly #logger = new Logger(RunExecutor.name);
  readonly #live = new Map<string, LiveRun>();
  readonly #running = new Set<Promise<void>>();
  readonly #lanes = new Lanes(JOB_LANES);
  readonly #shutdown = new AbortController();
  #numbers = 0;

  constructor(
    private readonly jobs: JobService,
    private readonly store: RunStore,
    private readonly failures: FailureLog,
  ) {}

  /** The runs whose end is not stored yet, by id. */
  get live(): ReadonlyMap<string, LiveRun> {
    return this.#live;
  }

  /** The load of its runs, until their end is stored. */
  get load(): RunLoad {
    return { runs: this.#live.size, numbers: this.#numbers };
  }

  async onApplicationBootstrap(): Promise<void> {
    const count = await this.store.interruptUnfinished();
    if (count > 0) {
      this.#logger.warn(`Marked ${count} unfinished runs of processes that are gone as interrupted`);
    }
  }

  onModuleDestroy(): void {
    this.#shutdown.abort();
    for (const live of this.#live.values()) {
      live.stop('interrupted');
    }
  }

  /** Waits here, because the connection to the database is closed after this hook. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  /** Begins a run that is stored as pending, and does not wait for it. */
  start(view: RunView, task: RunTask): void {
    const live = new LiveRun(view);
    this.#live.set(view.id, live);
    this.#numbers += view.total;
    if (this.#shutdown.signal.aborted) {
      live.stop('interrupted');
    }
    const running = this.#run(live, task).finally(() => {
      this.#live.delete(view.id);
      this.#numbers -= view.total;
      this.#running.delete(running);
    });
    this.#running.add(running);
  }

  async #run(live: LiveRun, task: RunTask): Promise<void> {
    const results = new RunResults(live, this.failures, this.store);
    const isComplete = await this.#work(live, task, results);
    const state = endingOf(live, isComplete);
    await this.#storeEnd(live, { state, finishedAt: new Date(), results });
  }

  /** Returns whether every job has ended. */
  async #work(live: LiveRun, { numbers, simulate }: RunTask, results: RunResults): Promise<boolean> {
    const { id, concurrency, total } = live.view;
    const { failOn = [], delayMs = 0 } = simulate;
    const info: RunInfo = { runId: id, failOn: new Set(failOn), delayMs };
    const lanes = this.#lanes.share({ isShort: total <= SHORT });
    try {
      await lanes.take(live.signal);
      const startedAt = new Date();
      await this.store.begin(id, startedAt);
      live.begin(startedAt);
      lanes.giveBack();
      const parts = partNumbers(numbers, concurrency);
      for (const part of parts) {
        await this.#factorise(part, {
          live,
          info,
          lanes,
          count: (outcome) => results.count(outcome, part === parts.at(-1)),
        });
      }
    } catch (error) {
      if (!live.signal.aborted) {
        this.#logger.error(`The run ${id} broke off: ${String(error)}`);
        live.stop('interrupted');
      }
    } finally {
      lanes.giveAllBack();
    }
    return results.done + results.failed === total;
  }

  async #factorise({ numbers, options }: NumberPart, { live, info, lanes, count }: PartOptions): Promise<void> {
    const outcomes = this.jobs.stream(withLanes(numbers, lanes, live.signal), FactoriseWorker, {
      ...options,
      label: `run ${live.view.id}`,
      signal: live.signal,
      whenAborted: 'finish',
      order: 'completion',
      info,
    });
    for await (const outcome of outcomes) {
      lanes.giveBack();
      await count(outcome);
    }
  }

  /**
   * Tries until the database can be reached. Announces the end of the run before all results are stored only if the
   * first try has failed.
   */
  async #storeEnd(live: LiveRun, { results, state, finishedAt }: StoredEnd): Promise<void> {
    const { id } = live.view;
    for (;;) {
      try {
        live.finish(await this.store.finish(id, { state, finishedAt, failures: results.unstored }));
        return;
      } catch (error) {
        live.finish({ state, finishedAt, done: results.done, failed: results.failed });
        this.#logger.error(`The end of run ${id} could not be stored: ${String(error)}`);
      } finally {
        live.announceEnd();
      }
      if (this.#shutdown.signal.aborted) {
        return;
      }
      await pause(RETRY_MS, undefined, { signal: this.#shutdown.signal }).catch(() => undefined);
    }
  }
}

/** Yields each number when there is a lane for it. */
async function* withLanes(
  numbers: Iterable<NumberAt>,
  lanes: LaneShare,
  signal: AbortSignal,
): AsyncGenerator<NumberAt, void, undefined> {
  for (const number of numbers) {
    await lanes.take(signal);
    yield number;
  }
}

function endingOf(live: LiveRun, isComplete: boolean): RunEnding {
  return isComplete && live.stopped !== 'cancelled' ? 'done' : (live.stopped ?? 'interrupted');
}
