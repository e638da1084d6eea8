/** Calls `late` after some milliseconds, unless the returned function is called before. */
export function unlessInTime(milliseconds: number, late: () => void): () => void {
  let immediate: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    // The awaited event may have arrived without being read yet.
    immediate = setImmediate(late);
  }, milliseconds);
  return () => {
    clearTimeout(timer);
    clearImmediate(immediate);
  };
}
