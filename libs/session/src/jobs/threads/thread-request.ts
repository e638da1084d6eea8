import type { BeginOptions } from '../../session/transaction/begin-options.js';
import type { PackedReason } from './packed-reason.js';

/** Describes a run to a thread. Sent once. */
export interface RunSetup {
  /** The name of the worker class. */
  readonly worker: string;
  readonly chunkSize: number;
  readonly label: string;
  readonly info: Readonly<Record<string, unknown>>;
  readonly transaction: BeginOptions | undefined;
  readonly timeout: number | undefined;
  readonly whenAborted: 'cancel' | 'finish';
  readonly hasSignal: boolean;
}

/** Asks a thread for one attempt at a chunk. */
export interface AttemptRequest {
  readonly kind: 'attempt';
  readonly run: number;
  readonly attempt: number;
  readonly index: number;
  readonly inputs: readonly unknown[];
  readonly number: number;
}

/** A request to a thread. */
export type ThreadRequest =
  | { readonly kind: 'start' }
  | { readonly kind: 'open'; readonly run: number; readonly setup: RunSetup }
  | AttemptRequest
  | { readonly kind: 'abort'; readonly run: number; readonly by: 'signal' | 'shutdown'; readonly reason: PackedReason }
  | { readonly kind: 'close'; readonly run: number }
  | { readonly kind: 'ping' }
  | { readonly kind: 'end' };
