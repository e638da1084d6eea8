/**
 * Waits for a promise, at most some milliseconds. Returns whether it was fulfilled in that time.
 *
 * @throws the error of the promise, if it is rejected in that time. A later error is ignored
 */
export async function settleWithin(promise: Promise<unknown>, milliseconds: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), milliseconds);
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
