import type { BeginOptions } from '../../session/transaction/begin-options.js';
import type { Allowance } from '../attempt/job-attempts.js';
import type { JobEnding } from '../job-outcome.js';
import type { PackedReason } from './packed-reason.js';

/** What a thread is told of a run, once. */
export interface RunSetup {
  /** The name of the class that does the work. */
  readonly worker: string;
  readonly chunkSize: number;
  readonly label: string;
  readonly info: Readonly<Record<string, unknown>>;
  readonly transaction: BeginOptions | undefined;
  readonly timeout: number | undefined;
  readonly whenAborted: 'cancel' | 'finish';
  readonly hasSignal: boolean;
}

export interface AttemptRequest {
  readonly kind: 'attempt';
  readonly run: number;
  readonly attempt: number;
  readonly index: number;
  readonly inputs: readonly unknown[];
  readonly number: number;
}

/** What a thread is asked for. */
export type ThreadRequest =
  | { readonly kind: 'start' }
  | { readonly kind: 'open'; readonly run: number; readonly setup: RunSetup }
  | AttemptRequest
  | { readonly kind: 'abort'; readonly run: number; readonly by: 'signal' | 'shutdown'; readonly reason: PackedReason }
  | { readonly kind: 'close'; readonly run: number }
  | { readonly kind: 'ping' }
  | { readonly kind: 'end' };

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
