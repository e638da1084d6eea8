import { types } from 'node:util';

/** Keeps a promise that was thrown, or returned where none is expected, from ending the process when it is rejected. */
export function silence(value: unknown): void {
  if (types.isPromise(value)) {
    value.then(
      () => undefined,
      () => undefined,
    );
  }
}
