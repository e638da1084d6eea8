import { inspect } from 'node:util';

import type { ScopeInfo } from '../../session/scope/scope-info.js';
import { measureJson } from './measure-json.js';

/** The data of a job, as it lies in the table of pg-boss. */
export interface QueueMessage {
  readonly input: unknown;
  /** The place of the input among those it was sent with. */
  readonly index?: number;
  /** The info of the scope that sent it: a job has the tenant of the request that sent it. */
  readonly info?: ScopeInfo;
}

export interface MessageOptions {
  readonly input: unknown;
  readonly index?: number;
  readonly info: ScopeInfo | undefined;
  /** Whose input it is, for the message of the error. */
  readonly of: string;
}

/**
 * Makes the data of a job, and measures about how many characters it has.
 *
 * @throws {TypeError} for an input that would arrive as another one, or not at all
 */
export function toMessage({ input, index = 0, info, of }: MessageOptions): {
  readonly message: QueueMessage;
  readonly size: number;
} {
  const size = measureJson(input, { root: 'input', of });
  const message: QueueMessage = { input, ...(index !== 0 && { index }), ...(info !== undefined && { info }) };
  return { message, size };
}

export interface SentJob {
  readonly id: string;
  readonly name: string;
  readonly data: unknown;
}

/** @throws {TypeError} for a job that something else than JobQueue has sent, in a form of its own */
export function readMessage({ id, name, data }: SentJob): QueueMessage {
  if (typeof data === 'object' && data !== null && 'input' in data) {
    return data;
  }
  throw new TypeError(
    `Expected the data of the job ${id} of queue "${name}" to have its input in the field \`input\`, got ` +
      `\`${inspect(data, { depth: 0, breakLength: Infinity })}\`. Send it with JobQueue.send(), or as \`{ input }\`.`,
  );
}
