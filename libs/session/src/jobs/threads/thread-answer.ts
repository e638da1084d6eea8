import type { Allowance } from '../attempt/job-attempts.js';
import type { JobEnding } from '../job-outcome.js';
import type { PackedReason } from './packed-reason.js';

/** The end of an attempt, in a form that can be copied. */
export type PackedEnd =
  | { readonly status: 'fulfilled'; readonly values: readonly unknown[] }
  | {
      readonly status: 'rejected';
      readonly reason: PackedReason;
      readonly ending: JobEnding;
      readonly culprit: number | undefined;
    };

/** The answer of a thread to a request. */
export type ThreadAnswer =
  | { readonly isDone: true; readonly end?: PackedEnd }
  | { readonly isDone: false; readonly reason: PackedReason };

/** Reports the time that an attempt gets, so that the main thread can watch it. */
export interface AllowanceNotice {
  readonly attempt: number;
  readonly allowance: Allowance | undefined;
}
