import type { JobProgress } from 'nestjs-mikro-session';
import { asyncScheduler, BehaviorSubject, type Observable, shareReplay, throttleTime } from 'rxjs';

import type { RunEnding } from './run-state.js';
import type { RunView } from './run-view.js';

/** How fast a run goes: jobs per second, and milliseconds to its end. */
export type Pace = Pick<JobProgress, 'rate' | 'timeLeft'>;

/** How often those who follow a run are told of it. */
const INTERVAL_MS = 100;

type Stop = Extract<RunEnding, 'cancelled' | 'interrupted'>;

/** A run of this process whose end is not stored yet. It knows more of the run than the database does. */
export class LiveRun {
  readonly #views: BehaviorSubject<RunView>;
  /** One for all who follow the run, however many they are. */
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

  /** Known as soon as a job has ended. */
  get pace(): Pace | undefined {
    return this.#pace;
  }

  /** The run as it is, and as it is again a few times a second, until it has ended. */
  get views(): Observable<RunView> {
    return this.#slowViews;
  }

  /** Aborts when the run is to stop. */
  get signal(): AbortSignal {
    return this.#aborter.signal;
  }

  /** Why the run was told to stop, if it was. */
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

  /** @param rest whether what the jobs took so far tells what the others will take */
  progress(counts: Pick<RunView, 'done' | 'failed'>, rest: 'known' | 'unknown'): void {
    this.#change(counts);
    const { startedAt, total } = this.view;
    const ended = counts.done + counts.failed;
    const rate = (ended * 1_000) / Math.max(1, Date.now() - (startedAt?.getTime() ?? 0));
    this.#pace = rest === 'known' ? { rate, timeLeft: ((total - ended) / rate) * 1_000 } : { rate };
  }

  /** Lets the running jobs finish and no other start. Only the first call tells why. */
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
