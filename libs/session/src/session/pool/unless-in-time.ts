/** Calls `late` after that many milliseconds, unless the returned function is called before. */
export function unlessInTime(milliseconds: number, late: () => void): () => void {
  let immediate: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    // What it waits for may have come, and not be read yet.
    immediate = setImmediate(late);
  }, milliseconds);
  return () => {
    clearTimeout(timer);
    clearImmediate(immediate);
  };
}
