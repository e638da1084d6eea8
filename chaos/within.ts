/** Something that did not settle within its bound. */
export class HangError extends Error {}

/**
 * Waits for a promise for so long and no longer.
 *
 * @throws {HangError} when it has not settled by then
 */
export async function within<Result>(milliseconds: number, what: string, promise: Promise<Result>): Promise<Result> {
  const { promise: hang, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new HangError(`${what} did not settle within ${milliseconds} ms`)),
    milliseconds,
  );
  try {
    return await Promise.race([promise, hang]);
  } finally {
    clearTimeout(timer);
  }
}
