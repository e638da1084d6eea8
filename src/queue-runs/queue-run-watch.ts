import { setTimeout as pause } from 'node:timers/promises';

import {
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import { exhaustMap, map, type Observable, ReplaySubject, startWith, Subject, takeUntil, takeWhile } from 'rxjs';

import { RunStore } from '../runs/run-store.js';
import type { RunView } from '../runs/run-view.js';
import { ActiveQueueRuns } from './active-queue-runs.js';

const INTERVAL_MS = 200;

/** The pause after a look, as a multiple of its duration. */
const REST = 10;

type Unfinished = ReadonlyMap<string, RunView>;

/**
 * Looks at the runs of the queue a few times a second. Reports their progress to followers, and ends the runs that have
 * all their results. Every process does this, so that any of them may be killed.
 */
@Injectable()
export class QueueRunWatch implements OnApplicationBootstrap, OnModuleDestroy, OnApplicationShutdown {
  readonly #logger = new Logger(QueueRunWatch.name);
  readonly #looks = new Subject<Unfinished>();
  /** Replays, so that later followers get it too. */
  readonly #hangUp = new ReplaySubject<void>(1);
  readonly #shutdown = new AbortController();
  #watching: Promise<void> | undefined;
  #isBlind = false;

  constructor(
    private readonly store: RunStore,
    private readonly active: ActiveQueueRuns,
  ) {}

  onApplicationBootstrap(): void {
    this.#watching = this.#watch();
  }

  /** Ends the streams of the followers, because the shutdown would wait for them. The runs go on. */
  onModuleDestroy(): void {
    this.#hangUp.next();
  }

  /** Waits here, because the connection to the database is closed after this hook. */
  async onApplicationShutdown(): Promise<void> {
    this.#shutdown.abort();
    await this.#watching;
  }

  /**
   * Emits the run now and after each look, until the run or the application ends. The run may belong to another
   * process.
   */
  follow(id: string): Observable<RunView> {
    return this.#looks.pipe(
      map((unfinished) => unfinished.get(id)),
      startWith(undefined),
      exhaustMap(async (view) => view ?? this.store.find(id)),
      takeWhile(({ finishedAt }) => finishedAt === null, true),
      takeUntil(this.#hangUp),
    );
  }

  async #watch(): Promise<void> {
    const { signal } = this.#shutdown;
    while (!signal.aborted) {
      const startedAt = performance.now();
      await this.#tryToLook();
      const rest = Math.max(INTERVAL_MS, (performance.now() - startedAt) * REST);
      await pause(rest, undefined, { signal }).catch(() => undefined);
    }
  }

  async #tryToLook(): Promise<void> {
    try {
      await this.#look();
      this.#isBlind = false;
    } catch (error) {
      if (!this.#isBlind) {
        this.#logger.error(`The runs of the queue could not be read: ${String(error)}`);
      }
      this.#isBlind = true;
    }
  }

  async #look(): Promise<void> {
    const active = this.active.ids;
    const views = await this.store.findQueued();
    for (const { id, done, failed, total } of views) {
      if (done + failed === total) {
        await this.store.complete(id);
      }
    }
    const unfinished = new Map(
      views.filter(({ done, failed, total }) => done + failed < total).map((view) => [view.id, view]),
    );
    active.filter((id) => !unfinished.has(id)).forEach((id) => this.active.leave(id));
    this.#looks.next(unfinished);
  }
}
