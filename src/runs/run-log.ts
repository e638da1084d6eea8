import { Injectable, Logger } from '@nestjs/common';

import type { RunView } from './run-view.js';

/** The context name of the log lines about runs. */
export const RUN_LOG = 'Runs';

/** Logs one line per run that starts, and one per run that ends. */
@Injectable()
export class RunLog {
  readonly #logger = new Logger(RUN_LOG);

  started({ id, total, concurrency, engine }: RunView): void {
    this.#logger.log(
      `Run ${id} starts: ${total} ${total === 1 ? 'number' : 'numbers'}, ${concurrency} at once, engine ${engine}`,
    );
  }

  ended({ id, state, total, done, failed, startedAt, finishedAt }: RunView): void {
    const took = startedAt === null || finishedAt === null ? 0 : finishedAt.getTime() - startedAt.getTime();
    this.#logger.log(`Run ${id} is ${state}: ${done} done and ${failed} failed of ${total}, in ${took} ms`);
  }
}
