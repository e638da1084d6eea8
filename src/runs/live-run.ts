import type { JobProgress } from 'nestjs-mikro-session';
import { BehaviorSubject, type Observable } from 'rxjs';

import type { RunEnding } from './run-state.js';
import type { RunView } from './run-view.js';

/** How fast a run goes: jobs per second, and milliseconds to its end. */
export type Pace = Pick<JobProgress, 'rate' | 'timeLeft'>;

type Stop = Extract<RunEnding, 'cancelled' | 'interrupted'>;

/** A run of this process whose end is not stored yet. It knows more of the run than the database does. */
export class LiveRun {
  readonly #views: BehaviorSubject<RunView>;
  readonly #aborter = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  #stop: Stop | undefined;
  #pace: Pace | undefined;

  constructor(view: RunView) {
    this.#views = new BehaviorSubject(view);
  }

  get view(): RunView {
    return this.#views.value;
  }

  /** Known as soon as a job has ended. */
  get pace(): Pace | undefined {
    return this.#pace;
  }

  /** The run as it is and each time it changes, until it has ended. */
  get views(): Observable<RunView> {
    return this.#views.asObservable();
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

  progress({ done, failed, rate, timeLeft }: JobProgress): void {
    this.#pace = timeLeft === undefined ? { rate } : { rate, timeLeft };
    this.#change({ done, failed });
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
