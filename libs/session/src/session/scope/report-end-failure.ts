import { Logger } from '@nestjs/common';

import { describeThrown } from '../describe-thrown.js';
import { readProperty } from '../read-property.js';
import type { Scope } from './scope.js';

/** Logs what went wrong at the end of a scope where there is nobody, or nothing better, to throw it to. */
export function reportEndFailure(scope: Scope, error: unknown): void {
  new Logger('Session').error(
    `The scope "${scope.label}" could not be ended cleanly: ${describeThrown(error)}`,
    readProperty(error, 'stack'),
  );
}
