/**
 * Waits for a promise, but not longer than some milliseconds. Returns whether it was fulfilled by then.
 *
 * @throws what it is rejected with by then. Later it is of no interest
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
