import { inspect } from 'node:util';

import type { JobOptions, JobStreamOptions } from './job-options.js';
import type { RetryOptions } from './retry.js';

/** The longest time that a timer of Node.js can wait: 24 days. */
const LONGEST_MS = 2 ** 31 - 1;

interface Rule {
  readonly what: string;
  holds(value: unknown): boolean;
}

const isNumber = (value: unknown, from: number, to: number): boolean =>
  typeof value === 'number' && value >= from && value <= to;

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;

const integerFrom = (least: number): Rule => ({
  what: `an integer of ${least} or more`,
  holds: (value) => Number.isInteger(value) && (value as number) >= least,
});

const oneOf = (...values: readonly string[]): Rule => ({
  what: values.map((value) => `'${value}'`).join(' or '),
  holds: (value) => values.includes(value as string),
});

const ofType = (type: 'string' | 'boolean' | 'function'): Rule => ({
  what: `a ${type}`,
  holds: (value) => typeof value === type,
});

const anObject: Rule = { what: 'an object', holds: isObject };

const retryRules: Record<keyof RetryOptions, Rule> = {
  limit: {
    what: 'an integer of 0 or more, or Infinity',
    holds: (value) => value === Infinity || integerFrom(0).holds(value),
  },
  delay: { what: 'milliseconds from 0', holds: (value) => isNumber(value, 0, LONGEST_MS) },
  backoff: { what: 'a number of 1 or more', holds: (value) => isNumber(value, 1, Number.MAX_VALUE) },
  jitter: { what: 'a number from 0 to 1', holds: (value) => isNumber(value, 0, 1) },
  when: ofType('function'),
};

const rules: Record<Exclude<keyof JobStreamOptions, 'retry'>, Rule> = {
  concurrency: integerFrom(1),
  chunkSize: integerFrom(1),
  window: integerFrom(1),
  order: oneOf('input', 'completion'),
  transaction: {
    what: `'job' or 'none' or the options of a transaction`,
    holds: (value) => value === 'job' || value === 'none' || isObject(value),
  },
  label: ofType('string'),
  info: anObject,
  signal: { what: 'an AbortSignal', holds: (value) => value instanceof AbortSignal },
  whenAborted: oneOf('cancel', 'finish'),
  timeout: {
    what: `milliseconds above 0 and up to ${LONGEST_MS}, or Infinity`,
    holds: (value) => value === Infinity || (isNumber(value, 0, LONGEST_MS) && value !== 0),
  },
  threads: integerFrom(0),
  stopOnError: ofType('boolean'),
  onProgress: ofType('function'),
  progressInterval: { what: 'milliseconds from 0', holds: (value) => isNumber(value, 0, LONGEST_MS) },
};

/** @throws {TypeError} for the first option that is not as it has to be, or does not go with another */
export function assertJobOptions(options: JobOptions & JobStreamOptions): void {
  assertAll(options, rules, '');
  const { retry, transaction, chunkSize = 1, window } = options;
  if (retry !== undefined) {
    assertRule('retry', retry, anObject);
    assertAll(retry, retryRules, 'retry.');
  }
  if (chunkSize > 1 && transaction === 'none') {
    throw new TypeError(
      "Expected `transaction` not to be 'none' with a `chunkSize` above 1: a chunk that fails is rolled back, and its " +
        'inputs are run again.',
    );
  }
  if (window !== undefined && window < chunkSize) {
    throw new TypeError(`Expected \`window\` to be at least the \`chunkSize\` of ${chunkSize}, got \`${window}\`.`);
  }
}

function assertAll(options: object, all: Readonly<Record<string, Rule>>, prefix: string): void {
  for (const [name, rule] of Object.entries(all)) {
    const value = (options as Readonly<Record<string, unknown>>)[name];
    if (value !== undefined) {
      assertRule(prefix + name, value, rule);
    }
  }
}

function assertRule(name: string, value: unknown, rule: Rule): void {
  if (!rule.holds(value)) {
    const shown = inspect(value, { depth: 0 });
    throw new TypeError(`Expected \`${name}\` to be ${rule.what}, got \`${shown}\` (${typeof value}).`);
  }
}
