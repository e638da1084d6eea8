import type { ScopeOutcome } from '../state/inspector-state.js';

export const outcomes: Readonly<Record<ScopeOutcome, string>> = {
  committed: 'Committed',
  done: 'Ended without a transaction',
  rolledBack: 'Rolled back',
  failed: 'Failed',
  timeout: 'Timed out',
  aborted: 'Aborted',
  disconnected: 'Closed by the client',
};

export function formatDuration(milliseconds: number): string {
  const time = Math.max(0, milliseconds);
  if (time < 10) {
    return `${time.toFixed(1)} ms`;
  }
  if (time < 1_000) {
    return `${Math.round(time)} ms`;
  }
  if (time < 60_000) {
    return `${(time / 1_000).toFixed(1)} s`;
  }
  if (time < 3_600_000) {
    return `${Math.floor(time / 60_000)} min ${Math.floor((time % 60_000) / 1_000)} s`;
  }
  return `${Math.floor(time / 3_600_000)} h ${Math.floor((time % 3_600_000) / 60_000)} min`;
}

export function formatTime(at: number): string {
  return new Date(at).toLocaleTimeString('en-GB');
}

export function formatRate(perSecond: number): string {
  if (perSecond > 0 && perSecond < 0.1) {
    return `${(perSecond * 60).toFixed(1)}/min`;
  }
  return `${perSecond >= 10 || perSecond === 0 ? Math.round(perSecond) : perSecond.toFixed(1)}/s`;
}

export function formatCount(count: number): string {
  return count.toLocaleString('en');
}

/** Describes the largest number of connections. */
export function describeLimit(max = Infinity): string {
  return max === Infinity ? 'any number' : formatCount(max);
}
