import type { Scope } from 'nestjs-mikro-session';

/** The `info` of the scope of every job of a run. */
export type RunInfo = {
  readonly runId: string;
  readonly failOn: ReadonlySet<number>;
  readonly delayMs: number;
};

/**
 * The `info` that is sent with a job of the queue. It must be JSON. `failOn` contains at most the number of the job.
 */
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

/** @param scope the scope of a job of the queue */
export function sentRunInfoOf(scope: Scope): SentRunInfo {
  return scope.info as SentRunInfo;
}
