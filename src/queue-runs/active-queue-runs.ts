import { Injectable } from '@nestjs/common';
import { Subject } from 'rxjs';

import { RunStore } from '../runs/run-store.js';

interface ActiveRun {
  readonly begun: Promise<void>;
  readonly aborter: AbortController;
}

/** The runs of the queue whose jobs this process has run, until the runs have ended. */
@Injectable()
export class ActiveQueueRuns {
  /** Emits when this process has the first job of a run. */
  readonly entered = new Subject<void>();
  readonly #runs = new Map<string, ActiveRun>();

  constructor(private readonly store: RunStore) {}

  get ids(): readonly string[] {
    return [...this.#runs.keys()];
  }

  /**
   * Begins a run that is still pending. Returns a signal that aborts when the run has ended and needs the job no
   * longer.
   */
  async enter(id: string): Promise<AbortSignal> {
    const run = this.#runs.get(id) ?? this.#add(id);
    await run.begun;
    return run.aborter.signal;
  }

  /** Aborts the jobs of a run: nobody waits for them any more. */
  leave(id: string): void {
    this.#runs.get(id)?.aborter.abort(new DOMException(`The run "${id}" has ended`, 'AbortError'));
    this.#runs.delete(id);
  }

  #add(id: string): ActiveRun {
    const begun = this.store.begin(id, new Date());
    const run = { begun, aborter: new AbortController() };
    this.#runs.set(id, run);
    // Forgotten, so that the next job tries again.
    begun.catch(() => this.#runs.delete(id));
    this.entered.next();
    return run;
  }
}
