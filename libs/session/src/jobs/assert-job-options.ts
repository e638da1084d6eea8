import { assertBeginOptions } from '../session/transaction/assert-begin-options.js';
import {
  anAbortSignal,
  anObject,
  assertOptions,
  integerFrom,
  isNumber,
  isObject,
  LONGEST_MS,
  ofType,
  oneOf,
  type Rule,
} from '../session/assert-options.js';
import type { JobOptions, JobStreamOptions } from './job-options.js';
import type { RetryOptions } from './attempt/retry.js';

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

/** The rule for options that must be left out here. */
const ofStreams: Rule = { what: 'left out, since it belongs to `JobService.stream()` alone', holds: () => false };

const rules: Record<keyof JobStreamOptions, Rule> = {
  retry: anObject,
  concurrency: integerFrom(1),
  chunkSize: integerFrom(1),
  transaction: {
    what: `'job' or 'none' or the options of a transaction`,
    holds: (value) => value === 'job' || value === 'none' || isObject(value),
  },
  label: ofType('string'),
  info: anObject,
  signal: anAbortSignal,
  whenAborted: oneOf('cancel', 'finish'),
  timeout: {
    what: `milliseconds above 0 and up to ${LONGEST_MS}, or Infinity`,
    holds: (value) => value === Infinity || (isNumber(value, 0, LONGEST_MS) && value !== 0),
  },
  threads: integerFrom(0),
  total: integerFrom(0),
  stopOnError: ofType('boolean'),
  onProgress: ofType('function'),
  progressInterval: { what: 'milliseconds from 0', holds: (value) => isNumber(value, 0, LONGEST_MS) },
  order: ofStreams,
  window: ofStreams,
};

const streamRules: Record<keyof JobStreamOptions, Rule> = {
  ...rules,
  order: oneOf('input', 'completion'),
  window: integerFrom(1),
};

/** @throws {TypeError} for the first option that is unknown, has a wrong value, or does not go with another option */
export function assertJobOptions(options: JobOptions): void {
  assertOptions('JobService', options, rules);
  assertTogether(options);
}

/** @throws {TypeError} as `assertJobOptions` does */
export function assertJobStreamOptions(options: JobStreamOptions): void {
  assertOptions('JobService', options, streamRules);
  assertTogether(options);
  const { chunkSize = 1, window } = options;
  if (window !== undefined && window < chunkSize) {
    throw new TypeError(`Expected \`window\` to be at least the \`chunkSize\` of ${chunkSize}, got \`${window}\`.`);
  }
}

function assertTogether({ retry, transaction, chunkSize = 1 }: JobOptions): void {
  if (retry !== undefined) {
    assertOptions('JobService', retry, retryRules, 'retry.');
  }
  if (isObject(transaction)) {
    assertBeginOptions('JobService', transaction);
  }
  if (chunkSize > 1 && transaction === 'none') {
    throw new TypeError(
      "Expected `transaction` not to be 'none' with a `chunkSize` above 1: a chunk that fails is rolled back, and its " +
        'inputs are run again.',
    );
  }
}
