/** Returns the id of a job of a run. It need not be looked for where the job is to be cancelled. */
export function queueJobId(runId: string, index: number): string {
  const lastPart = runId.lastIndexOf('-') + 1;
  return runId.slice(0, lastPart) + index.toString(16).padStart(runId.length - lastPart, '0');
}
