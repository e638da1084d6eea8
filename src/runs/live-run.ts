import type { JobProgress } from 'nestjs-mikro-session';
import { asyncScheduler, BehaviorSubject, type Observable, shareReplay, throttleTime } from 'rxjs';

import type { RunEnding } from './run-state.js';
import type { RunView } from './run-view.js';

/** The pace of a run: jobs per second, and milliseconds to its end. */
export type Pace = Pick<JobProgress, 'rate' | 'timeLeft'>;

/** Milliseconds between two updates for the followers of a run. */
const INTERVAL_MS = 100;

type Stop = Extract<RunEnding, 'cancelled' | 'interrupted'>;

/** A run of this process whose end is not stored yet. It knows more of the run than the database does. */
export class LiveRun {
  readonly #views: BehaviorSubject<RunView>;
  /** One observable for all followers of the run. */
  readonly #slowViews: Observable<RunView>;
  readonly #aborter = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  #stop: Stop | undefined;
  #pace: Pace | undefined;

  constructor(view: RunView) {
    this.#views = new BehaviorSubject(view);
    this.#slowViews = this.#views.pipe(
      throttleTime(INTERVAL_MS, asyncScheduler, { leading: true, trailing: true }),
      shareReplay({ bufferSize: 1, refCount: true }),
    );
  }

  get view(): RunView {
    return this.#views.value;
  }

  /** The pace. Undefined before the first job has ended. */
  get pace(): Pace | undefined {
    return this.#pace;
  }

  /** Emits the run now and a few times a second, until it has ended. */
  get views(): Observable<RunView> {
    return this.#slowViews;
  }

  /** Aborts when the run has to stop. */
  get signal(): AbortSignal {
    return this.#aborter.signal;
  }

  /** Why the run has to stop. Undefined while it may go on. */
  get stopped(): Stop | undefined {
    return this.#stop;
  }

  /** Resolves when the run has ended. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  begin(startedAt: Date): void {
    this.#change({ state: 'running', startedAt });
  }

  /** @param rest whether the time of the other jobs can be estimated from the jobs so far */
  progress(counts: Pick<RunView, 'done' | 'failed'>, rest: 'known' | 'unknown'): void {
    this.#change(counts);
    const { startedAt, total } = this.view;
    const ended = counts.done + counts.failed;
    const rate = (ended * 1_000) / Math.max(1, Date.now() - (startedAt?.getTime() ?? 0));
    this.#pace = rest === 'known' ? { rate, timeLeft: ((total - ended) / rate) * 1_000 } : { rate };
  }

  /** Lets the running jobs finish, and starts no other. Only the first call sets the reason. */
  stop(why: Stop): void {
    if (this.view.finishedAt !== null) {
      return;
    }
    this.#stop ??= why;
    this.#aborter.abort(new DOMException(`The run "${this.view.id}" was ${this.#stop}`, 'AbortError'));
  }

  finish(end: Pick<RunView, 'state' | 'done' | 'failed' | 'finishedAt'>): void {
    this.#change(end);
  }

  /** Tells all who wait that the run has ended. */
  announceEnd(): void {
    this.#views.complete();
    this.#ended.resolve();
  }

  #change(change: Partial<RunView>): void {
    this.#views.next(Object.assign({}, this.view, change));
  }
}
