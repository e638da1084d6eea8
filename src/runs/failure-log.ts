import { inspect } from 'node:util';

import { Injectable, Logger } from '@nestjs/common';

import type { Failure } from './failure.js';
import { RUN_LOG } from './run-log.js';
import { SimulatedFailure } from './simulated-failure.js';

/** The number of failures of a run that are logged. A hundred thousand of the same kind would say no more. */
const MOST_PER_RUN = 10;

/** The number of runs for which failures are counted. */
const RUNS = 1_000;

/** Logs why jobs failed: the details that clients do not see. */
@Injectable()
export class FailureLog {
  readonly #logger = new Logger(RUN_LOG);
  readonly #counts = new Map<string, number>();

  tell(runId: string, { index, number }: Failure, reason: unknown): void {
    if (reason instanceof Error && reason.name === SimulatedFailure.name) {
      return;
    }
    const count = (this.#counts.get(runId) ?? 0) + 1;
    this.#counts.delete(runId);
    this.#counts.set(runId, count);
    const [oldest] = this.#counts.keys();
    if (this.#counts.size > RUNS && oldest !== undefined) {
      this.#counts.delete(oldest);
    }
    if (count > MOST_PER_RUN) {
      return;
    }
    const rest = count === MOST_PER_RUN ? ' Further failures of this run are not logged.' : '';
    this.#logger.error(`The job of number ${number}, at ${index} of run ${runId}, failed: ${show(reason)}${rest}`);
  }
}

function show(reason: unknown): string {
  try {
    return reason instanceof Error ? String(reason.stack ?? reason) : inspect(reason, { depth: 1 });
  } catch {
    return 'an error that cannot be shown';
  }
}
