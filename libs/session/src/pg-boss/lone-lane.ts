import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';

import { Logger } from '@nestjs/common';

import type { LoneTurns } from './lone-turns.js';

/** How long the lane waits for a next job. */
const IDLE_MS = 1_000;

export interface LoneLaneOptions {
  readonly turns: LoneTurns;
  /** Aborts when the application shuts down. */
  readonly ending: AbortSignal;
  /** Starts to fetch one job at a time, and tells of each, until the lane is stopped. */
  readonly start: (events: LoneEvents) => Promise<{ stop(): Promise<void> }>;
}

interface LoneEvents {
  /** Called before a job runs. */
  onBegin(): Promise<void>;
  /** Called when it has ended. */
  onEnd(job: { readonly isLost: boolean }): void;
}

/** The lane of a queue for the jobs that may have ended their process. It is there as long as there are such jobs. */
export class LoneLane {
  readonly #options: LoneLaneOptions;
  readonly #logger = new Logger('JobQueueModule');
  /** Its jobs are of no batch, whichever asks for it. */
  readonly #outside = AsyncLocalStorage.snapshot();
  #open: Promise<void> | undefined;

  constructor(options: LoneLaneOptions) {
    this.#options = options;
  }

  /** Opens the lane, when those of other queues are closed. */
  open(): void {
    const { turns, ending } = this.#options;
    if (!ending.aborted) {
      this.#open ??= this.#outside(() => turns.take(() => this.#run()))
        .catch((error: unknown) => this.#logger.error('The lane for jobs that run alone failed', error))
        .finally(() => (this.#open = undefined));
    }
  }

  /** Waits until the lane is closed, or the time is up. */
  async untilClosed(milliseconds: number): Promise<void> {
    const { ending } = this.#options;
    const over = new AbortController();
    const signal = AbortSignal.any([ending, over.signal]);
    await Promise.race([this.#open, pause(milliseconds, undefined, { signal }).catch(() => undefined)]);
    over.abort();
  }

  async #run(): Promise<void> {
    const { turns, ending, start } = this.#options;
    if (ending.aborted) {
      return;
    }
    const idle = Promise.withResolvers<void>();
    let timer = setTimeout(idle.resolve, IDLE_MS);
    const lane = await start({
      async onBegin() {
        clearTimeout(timer);
        await turns.untilReturned();
      },
      onEnd({ isLost }) {
        clearTimeout(timer);
        // Those that were lost come first, being older. A later one opens the lane again.
        timer = setTimeout(idle.resolve, isLost ? IDLE_MS : 0);
      },
    });
    await Promise.race([idle.promise, once(ending, 'abort')]);
    await lane.stop();
    clearTimeout(timer);
  }
}
