import type { Allowance } from '../attempt/job-attempts.js';
import type { JobEnding } from '../job-outcome.js';
import type { PackedReason } from './packed-reason.js';

/** How an attempt ended, ready to be copied. */
export type PackedEnd =
  | { readonly status: 'fulfilled'; readonly values: readonly unknown[] }
  | {
      readonly status: 'rejected';
      readonly reason: PackedReason;
      readonly ending: JobEnding;
      readonly culprit: number | undefined;
    };

export type ThreadAnswer =
  | { readonly isDone: true; readonly end?: PackedEnd }
  | { readonly isDone: false; readonly reason: PackedReason };

/** Tells of the time that an attempt has, so that it can be watched from outside of its thread. */
export interface AllowanceNotice {
  readonly attempt: number;
  readonly allowance: Allowance | undefined;
}
