import type { BeginOptions } from '../../session/transaction/begin-options.js';
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
