import { JOB_CONNECTIONS } from '../runs/pool-size.js';
import { MAX_NUMBERS } from '../runs/number-rules.js';

export interface NumberRange {
  readonly from: number;
  readonly to: number;
  readonly concurrency: number;
}

const USAGE = 'Usage: npm run cli -- FROM TO [CONCURRENCY]';

/**
 * @throws {TypeError} for anything but two integers, the smaller first, and an optional number of jobs to run at once,
 * within the limits
 */
export function readRange(args: readonly string[]): NumberRange {
  const [from = Number.NaN, to = Number.NaN, concurrency = 4] = args.map(Number);
  const isRange = Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 1 && to >= from;
  if (!isRange || args.length > 3 || !Number.isInteger(concurrency) || concurrency < 1) {
    throw new TypeError(`Expected integers of 1 or more, the smaller first, got "${args.join(' ')}". ${USAGE}`);
  }
  if (to - from + 1 > MAX_NUMBERS) {
    throw new TypeError(`Expected no more than ${MAX_NUMBERS} numbers, got ${to - from + 1}. ${USAGE}`);
  }
  if (concurrency > JOB_CONNECTIONS) {
    throw new TypeError(`Expected \`CONCURRENCY\` to be ${JOB_CONNECTIONS} or less, got ${concurrency}. ${USAGE}`);
  }
  return { from, to, concurrency };
}
