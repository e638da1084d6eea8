import { Logger } from '@nestjs/common';

import type { Scope } from './scope.js';

/** Logs what went wrong at the end of a scope where there is nobody, or nothing better, to throw it to. */
export function reportEndFailure(scope: Scope, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  new Logger('Session').error(
    `The scope "${scope.label}" could not be ended cleanly: ${message}`,
    error instanceof Error ? error.stack : undefined,
  );
}
