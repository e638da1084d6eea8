import { inspect } from 'node:util';

import type { ScopeInfo } from '../session/scope-info.js';

const NOT_JSON: ReadonlySet<string> = new Set(['undefined', 'function', 'symbol', 'bigint']);

/** The data of a job, as it lies in the table of pg-boss. */
export interface QueueMessage {
  readonly input: unknown;
  /** The place of the input among those it was sent with. */
  readonly index?: number;
  /** The info of the scope that sent it: a job has the tenant of the request that sent it. */
  readonly info?: ScopeInfo;
}

/** @throws {TypeError} for an input that JSON has no word for */
export function toMessage(input: unknown, index: number, info: ScopeInfo | undefined): QueueMessage {
  assertJson(input);
  if (info === undefined) {
    return index === 0 ? { input } : { input, index };
  }
  return index === 0 ? { input, info } : { input, index, info };
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

/** The rest is left to JSON.stringify(), which throws for what it cannot write: looking here would take as long again. */
function assertJson(input: unknown): void {
  if (NOT_JSON.has(typeof input) || (typeof input === 'number' && !Number.isFinite(input))) {
    throw new TypeError(`Expected an input that JSON can hold, got \`${inspect(input)}\` (${typeof input}).`);
  }
}
