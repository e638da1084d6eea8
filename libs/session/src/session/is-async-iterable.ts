/** Whether a value can be iterated with `for await`, other than by its plain iterator. */
export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  // Object(), because `in` throws for a string.
  return Symbol.asyncIterator in Object(value);
}
