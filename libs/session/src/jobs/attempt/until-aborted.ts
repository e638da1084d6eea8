/**
 * Waits for a promise, at most until a signal aborts. Returns undefined then.
 *
 * @throws the error of the promise, if it is rejected before. A later error is ignored
 */
export async function untilAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value | undefined> {
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>();
  const onAbort = (): void => resolve(undefined);
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) {
    onAbort();
  }
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
