import { inspect } from 'node:util';

import type { ScopeInfo } from '../../session/scope/scope-info.js';
import { measureJson } from './measure-json.js';

/** The data of a job, as it is stored in the table of pg-boss. */
export interface QueueMessage {
  readonly input: unknown;
  /** The position of the input among the inputs of its sendMany(). */
  readonly index?: number;
  /** The info of the scope that sent the job: the job has the tenant of the request that sent it. */
  readonly info?: ScopeInfo;
}

export interface MessageOptions {
  readonly input: unknown;
  readonly index?: number;
  readonly info: ScopeInfo | undefined;
  /** The owner of the input, for the message of the error. */
  readonly of: string;
}

/**
 * Makes the data of a job, and measures its approximate number of characters.
 *
 * @throws {TypeError} for an input that JSON would change or lose
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

/** @throws {TypeError} for a job whose data has another form, because JobQueue did not send it */
export function readMessage({ id, name, data }: SentJob): QueueMessage {
  if (typeof data === 'object' && data !== null && 'input' in data) {
    return data;
  }
  throw new TypeError(
    `Expected the data of the job ${id} of queue "${name}" to have its input in the field \`input\`, got ` +
      `\`${inspect(data, { depth: 0, breakLength: Infinity })}\`. Send it with JobQueue.send(), or as \`{ input }\`.`,
  );
}
