import { ConsoleLogger } from '@nestjs/common';

import { RUN_LOG } from './runs/run-log.js';

/** Prints warnings, errors and the lines about runs, without NestJS's messages about its start. */
export class DemoLogger extends ConsoleLogger {
  constructor() {
    super({ logLevels: ['log', 'warn', 'error'] });
  }

  override log(message: unknown, ...rest: unknown[]): void {
    if (rest.at(-1) === RUN_LOG) {
      super.log(message, ...rest);
    }
  }
}
