import type { Scope } from 'nestjs-mikro-session';

/** What every job of a run is told through the `info` of its scope. */
export type RunInfo = {
  readonly runId: string;
  readonly failOn: ReadonlySet<number>;
  readonly delayMs: number;
};

/** What goes along with a job of the queue, where it has to be JSON. `failOn` has its own number at most. */
export type SentRunInfo = {
  readonly runId: string;
  readonly failOn: readonly number[];
  readonly delayMs: number;
  readonly concurrency: number;
};

export function runInfoOf(scope: Scope): RunInfo {
  const info = scope.info as RunInfo | SentRunInfo;
  return 'concurrency' in info ? { ...info, failOn: new Set(info.failOn) } : info;
}

/** @param scope that of a job of the queue */
export function sentRunInfoOf(scope: Scope): SentRunInfo {
  return scope.info as SentRunInfo;
}
