import type { Rule } from './satisfies.js';
import { shown } from './shown.js';

/** Returns why a value is not an integer between two others. Undefined if it is one. */
export function whyNotInteger(value: unknown, min: number, max: number): string | undefined {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) {
    return undefined;
  }
  return `expected an integer from ${min} to ${max}, got ${shown(value)}`;
}

export function integerBetween(min: number, max: number): Rule {
  return (value) => {
    const reason = whyNotInteger(value, min, max);
    return reason === undefined ? [] : [{ reason }];
  };
}
