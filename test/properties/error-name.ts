/** Returns the name of an error of any realm: Jest runs tests in one of its own, where Node's errors are none. */
export function nameOf(error: unknown): string {
  const { name } = (error ?? {}) as { readonly name?: unknown };
  return typeof name === 'string' ? name : String(error);
}
