import { inspect } from 'node:util';

import type { Rule } from './satisfies.js';

/** Tells why a value is not an integer between two others, if it is not. */
export function whyNotInteger(value: unknown, min: number, max: number): string | undefined {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) {
    return undefined;
  }
  const shown =
    value === undefined
      ? 'nothing'
      : inspect(value, { depth: 0, breakLength: Infinity, maxStringLength: 40, maxArrayLength: 3 });
  return `expected an integer from ${min} to ${max}, got ${shown}`;
}

export function integerBetween(min: number, max: number): Rule {
  return (value) => {
    const reason = whyNotInteger(value, min, max);
    return reason === undefined ? [] : [{ reason }];
  };
}
