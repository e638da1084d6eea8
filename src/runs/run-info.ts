import type { Scope } from 'nestjs-mikro-session';

/** What every job of a run is told through the `info` of its scope. */
export type RunInfo = {
  readonly runId: string;
  readonly failOn: ReadonlySet<number>;
  readonly delayMs: number;
};

export function runInfoOf(scope: Scope): RunInfo {
  return scope.info as RunInfo;
}
