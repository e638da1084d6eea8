import { types } from 'node:util';

/**
 * Ignores the rejection of a promise that was thrown, or returned where none is expected. Unhandled, it would end the
 * process.
 */
export function silence(value: unknown): void {
  if (types.isPromise(value)) {
    value.then(
      () => undefined,
      () => undefined,
    );
  }
}
