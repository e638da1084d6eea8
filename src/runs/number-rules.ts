import { inspect } from 'node:util';

import { whyNotInteger } from '../errors/integer-between.js';
import type { Finding, Rule } from '../errors/satisfies.js';

export const MAX_NUMBER = Number.MAX_SAFE_INTEGER;
export const MAX_NUMBERS = 100_000;

/** The largest number of faults in an answer: a list may have 100,000 wrong numbers. */
const MAX_FINDINGS = 10;

interface Body {
  readonly numbers?: unknown;
  readonly from?: unknown;
  readonly to?: unknown;
}

function whyNotNumber(value: unknown): string | undefined {
  return whyNotInteger(value, 1, MAX_NUMBER);
}

export const numberList: Rule = (list, body) => {
  const { from, to } = body as Body;
  const hasRange = from !== undefined || to !== undefined;
  if (list === undefined) {
    return hasRange ? [] : [{ reason: 'missing: give either `numbers`, or `from` and `to`' }];
  }
  if (hasRange) {
    return [{ reason: 'give either `numbers`, or `from` and `to`, not both' }];
  }
  if (!Array.isArray(list)) {
    return [{ reason: `expected a list of integers, got ${inspect(list, { depth: 0, maxStringLength: 40 })}` }];
  }
  if (list.length === 0 || list.length > MAX_NUMBERS) {
    return [{ reason: `expected 1 to ${MAX_NUMBERS} numbers, got ${list.length}` }];
  }
  return findOffenders(list);
};

export function findOffenders(list: readonly unknown[]): Finding[] {
  const findings: Finding[] = [];
  for (const [index, value] of list.entries()) {
    const reason = whyNotNumber(value);
    if (reason !== undefined) {
      findings.push({ at: `[${index}]`, reason });
    }
    if (findings.length === MAX_FINDINGS) {
      break;
    }
  }
  return findings;
}

/** Whether the request gives no range. The rule of `numbers` checks which of the two forms is used. */
function hasNoRange({ numbers, from, to }: Body): boolean {
  return numbers !== undefined || (from === undefined && to === undefined);
}

export const rangeStart: Rule = (from, body) => (hasNoRange(body) ? [] : toFindings(whyNotNumber(from)));

export const rangeEnd: Rule = (to, body) => {
  if (hasNoRange(body)) {
    return [];
  }
  const { from } = body as Body;
  const reason = whyNotNumber(to);
  if (reason !== undefined || typeof to !== 'number' || typeof from !== 'number') {
    return toFindings(reason);
  }
  if (to < from) {
    return [{ reason: `expected \`from\` (${from}) or above, got ${to}` }];
  }
  const count = to - from + 1;
  return count > MAX_NUMBERS ? [{ reason: `expected a range of at most ${MAX_NUMBERS} numbers, got ${count}` }] : [];
};

function toFindings(reason: string | undefined): Finding[] {
  return reason === undefined ? [] : [{ reason }];
}
