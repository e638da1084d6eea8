import type { Rule } from './satisfies.js';
import { shown } from './shown.js';

/** Tells that a value is none of a few words, if it is none. */
export function oneOf(words: readonly string[]): Rule {
  const expected = words.map((word) => `'${word}'`).join(' or ');
  return (value) =>
    words.some((word) => word === value) ? [] : [{ reason: `expected ${expected}, got ${shown(value)}` }];
}
