import { Logger } from '@nestjs/common';

import { describeThrown } from '../describe-thrown.js';
import { readProperty } from '../read-property.js';
import type { Scope } from './scope.js';

/** Logs an error of the end of a scope that cannot be thrown: nobody waits for it, or an earlier error is thrown. */
export function reportEndFailure(scope: Scope, error: unknown): void {
  new Logger('Session').error(
    `The scope "${scope.label}" could not be ended cleanly: ${describeThrown(error)}`,
    readProperty(error, 'stack'),
  );
}
