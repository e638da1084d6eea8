/** Returns the id of a job of a run. It is computed, so that a cancellation does not need to search for it. */
export function queueJobId(runId: string, index: number): string {
  const lastPart = runId.lastIndexOf('-') + 1;
  return runId.slice(0, lastPart) + index.toString(16).padStart(runId.length - lastPart, '0');
}
