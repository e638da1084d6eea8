import { setTimeout as pause } from 'node:timers/promises';

import { EntityManager } from '@mikro-orm/postgresql';
import {
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import { type JobOutcome, JobService } from 'nestjs-mikro-session';

import { JOB_CONNECTIONS } from '../database/pool-size.js';
import { FactoriseWorker } from './factorise.worker.js';
import { Lanes } from './lanes.js';
import { LiveRun } from './live-run.js';
import { type Failure, toFailure } from './failure.js';
import { type NumberAt, type NumberPart, partNumbers } from './number-parts.js';
import type { RunInfo } from './run-info.js';
import type { RunEnding } from './run-state.js';
import { type RunEnd, RunStore } from './run-store.js';
import type { Simulation } from './start-run.request.js';
import type { RunView } from './run-view.js';

const RETRY_MS = 1_000;

type Outcome = JobOutcome<NumberAt, void>;

export interface RunTask {
  readonly numbers: readonly number[];
  readonly simulate: Simulation;
}

/** Runs the runs in the background, and knows those of this process. */
@Injectable()
export class RunExecutor implements OnApplicationBootstrap, OnModuleDestroy, OnApplicationShutdown {
  readonly #logger = new Logger(RunExecutor.name);
  readonly #live = new Map<string, LiveRun>();
  readonly #running = new Set<Promise<void>>();
  readonly #lanes = new Lanes(JOB_CONNECTIONS);
  readonly #shutdown = new AbortController();

  constructor(
    private readonly jobs: JobService<EntityManager>,
    private readonly store: RunStore,
  ) {}

  /** The runs whose end is not stored yet, by id. */
  get live(): ReadonlyMap<string, LiveRun> {
    return this.#live;
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

  /** The connection to the database is closed after this hook. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  /** Begins a run that is stored as pending, and does not wait for it. */
  start(view: RunView, task: RunTask): void {
    const live = new LiveRun(view);
    this.#live.set(view.id, live);
    if (this.#shutdown.signal.aborted) {
      live.stop('interrupted');
    }
    const running = this.#run(live, task).finally(() => {
      this.#live.delete(view.id);
      this.#running.delete(running);
    });
    this.#running.add(running);
  }

  async #run(live: LiveRun, task: RunTask): Promise<void> {
    const outcomes = await this.#work(live, task);
    const failures = outcomes.flatMap((outcome) => toFailures(outcome));
    const done = outcomes.filter(({ status }) => status === 'fulfilled').length;
    await this.#storeEnd(live, { state: endingOf(live, outcomes), finishedAt: new Date(), done, failures });
  }

  async #work(live: LiveRun, { numbers, simulate }: RunTask): Promise<readonly Outcome[]> {
    const { id, concurrency } = live.view;
    const { failOn = [], delayMs = 0 } = simulate;
    const info = { runId: id, failOn: new Set(failOn), delayMs };
    let outcomes: readonly Outcome[] = [];
    let giveBack: (() => void) | undefined;
    try {
      giveBack = await this.#lanes.take(concurrency, live.signal);
      const startedAt = new Date();
      await this.store.begin(id, startedAt);
      live.begin(startedAt);
      const parts = partNumbers(numbers, concurrency);
      for (const part of parts) {
        outcomes = outcomes.concat(await this.#factorise(live, part, { info, isLast: part === parts.at(-1) }));
      }
    } catch (error) {
      if (!live.signal.aborted) {
        this.#logger.error(`The run ${id} broke off: ${String(error)}`);
        live.stop('interrupted');
      }
    } finally {
      giveBack?.();
    }
    return outcomes;
  }

  #factorise(
    live: LiveRun,
    { numbers, options }: NumberPart,
    { info, isLast }: { readonly info: RunInfo; readonly isLast: boolean },
  ): Promise<Outcome[]> {
    const { id, done: doneBefore, failed: failedBefore } = live.view;
    return this.jobs.settle(numbers, FactoriseWorker, {
      ...options,
      label: `run ${id}`,
      signal: live.signal,
      whenAborted: 'finish',
      info,
      onProgress: ({ done, failed, rate, timeLeft }) =>
        live.progress({
          done: doneBefore + done,
          failed: failedBefore + failed,
          rate,
          // How long the large numbers will take is not known before they are begun.
          ...(isLast && timeLeft !== undefined && { timeLeft }),
        }),
    });
  }

  /**
   * Tries until the database is there. Only when that takes more than one try the run is said to have ended before its
   * results are all there.
   */
  async #storeEnd(live: LiveRun, { done, ...end }: RunEnd & { readonly done: number }): Promise<void> {
    const { id } = live.view;
    for (;;) {
      try {
        live.finish(await this.store.finish(id, end));
        return;
      } catch (error) {
        const { state, finishedAt, failures } = end;
        live.finish({ state, finishedAt, done, failed: failures.length });
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

function endingOf(live: LiveRun, outcomes: readonly Outcome[]): RunEnding {
  const isComplete = outcomes.length === live.view.total && outcomes.every(({ attempts }) => attempts > 0);
  return isComplete && live.stopped !== 'cancelled' ? 'done' : (live.stopped ?? 'interrupted');
}

/** A job that never began has not failed. */
function toFailures(outcome: Outcome): Failure[] {
  if (outcome.status === 'fulfilled' || outcome.attempts === 0) {
    return [];
  }
  const { index, number } = outcome.input;
  return [toFailure(index, number, outcome.reason)];
}
