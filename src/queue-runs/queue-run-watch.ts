import { setTimeout as pause } from 'node:timers/promises';

import {
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import { defer, exhaustMap, map, type Observable, ReplaySubject, startWith, Subject, takeUntil, takeWhile } from 'rxjs';

import { RunStore } from '../runs/run-store.js';
import type { RunView } from '../runs/run-view.js';
import { ActiveQueueRuns } from './active-queue-runs.js';

const INTERVAL_MS = 200;
/** The same while no run is known to be unfinished. Another process may begin one. */
const IDLE_INTERVAL_MS = 2_000;

/** The pause after a look, as a multiple of its duration. */
const REST = 10;

type Unfinished = ReadonlyMap<string, RunView>;

/**
 * Looks at the runs of the queue a few times a second, and less often while there are none. Reports their progress to
 * followers, and ends the runs that have all their results. Every process does this, so that any of them may be killed.
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
  #wake = Promise.withResolvers<void>();
  #unfinished: Unfinished = new Map();

  constructor(
    private readonly store: RunStore,
    private readonly active: ActiveQueueRuns,
  ) {
    active.entered.subscribe(() => this.lookNow());
  }

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

  /** Looks at once, because a run has begun. */
  lookNow(): void {
    this.#wake.resolve();
  }

  /**
   * Emits the run now and after each look, until the run or the application ends. The run may belong to another
   * process.
   */
  follow(id: string): Observable<RunView> {
    return defer(() => {
      this.lookNow();
      return this.#looks;
    }).pipe(
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
      // Made before the look, which may miss a run that begins in the meantime.
      this.#wake = Promise.withResolvers();
      await this.#tryToLook();
      const rest = (performance.now() - startedAt) * REST;
      const rested = pause(Math.max(this.#isIdle ? IDLE_INTERVAL_MS : INTERVAL_MS, rest), undefined, { signal });
      await Promise.race([rested, ...(this.#isIdle ? [this.#wake.promise] : [])]).catch(() => undefined);
    }
  }

  get #isIdle(): boolean {
    return this.#unfinished.size === 0 && this.active.ids.length === 0 && !this.#looks.observed;
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
    this.#unfinished = new Map(
      views.filter(({ done, failed, total }) => done + failed < total).map((view) => [view.id, view]),
    );
    active.filter((id) => !this.#unfinished.has(id)).forEach((id) => this.active.leave(id));
    this.#looks.next(this.#unfinished);
  }
}
