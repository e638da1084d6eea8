import type { Tally } from '../tally.js';

/** Megabytes that the heap may not grow by. */
const GROWTH_LIMIT_MB = 5;

interface Line {
  readonly name: string;
  readonly value: string;
  /** Left out for what is only counted. */
  readonly isGood?: boolean;
}

/** Lays out what was done, and below it what must be 0. */
export function toTable({ counts, faults, growth }: Tally): string {
  const lines: readonly Line[] = [
    count('requests fuzzed', counts.requests),
    count('backends killed', counts.backends),
    count('statements cancelled', counts.cancelled),
    count('server restarts', counts.restarts),
    count('worker processes killed', counts.killed),
    count('worker processes frozen', counts.frozen),
    count('worker processes that a job ended', counts.poisoned),
    count('network: delay', counts.delay),
    count('network: cut', counts.cut),
    count('network: half-close', counts.halfClose),
    count('network: truncate', counts.truncate),
    count('network: black hole', counts.blackHole),
    count('jobs run', counts.jobs),
    count('durable jobs run', counts.durable),
    count('of them in the dead letter queue, as they should be', counts.deadLetters),
    count('commits that nobody can know', counts.unknown),
    count('leaks: scopes', counts.leakScopes),
    count('leaks: jobs that succeed, fail, time out, abort', counts.leakJobs),
    count('leaks: requests', counts.leakRequests),
    count('leaks: of them cut by the client', counts.leakRequestsCut),
    ...[...growth].map(([what, megabytes]) => ({
      name: `heap growth, MB: ${what}`,
      value: megabytes.toFixed(1),
      isGood: megabytes < GROWTH_LIMIT_MB,
    })),
    fault('rows lost', faults.lost),
    fault('rows doubled', faults.doubled),
    fault('outcomes that did not tell the truth', faults.untrue),
    fault('hangs', faults.hangs),
    fault('connections left', faults.connections),
    fault('listeners and handles left', faults.handles),
    fault('errors that nobody caught', faults.errors),
  ];
  const width = Math.max(...lines.map(({ name }) => name.length));
  return lines
    .map(({ name, value, isGood }) => `${name.padEnd(width)}  ${value.padStart(9)}  ${toVerdict(isGood)}`.trimEnd())
    .join('\n');
}

/** Whether everything that must be 0 is. */
export function isClean({ faults, growth }: Tally): boolean {
  return (
    Object.values(faults).every((found) => found === 0) &&
    [...growth.values()].every((megabytes) => megabytes < GROWTH_LIMIT_MB)
  );
}

function count(name: string, value: number): Line {
  return { name, value: value.toLocaleString('en') };
}

function fault(name: string, value: number): Line {
  return { ...count(name, value), isGood: value === 0 };
}

function toVerdict(isGood: boolean | undefined): string {
  if (isGood === undefined) {
    return '';
  }
  return isGood ? 'ok' : 'FAILED';
}
