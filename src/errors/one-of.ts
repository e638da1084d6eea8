import type { Rule } from './satisfies.js';
import { shown } from './shown.js';

/** Makes a rule for a value that must be one of a few words. */
export function oneOf(words: readonly string[]): Rule {
  const expected = words.map((word) => `'${word}'`).join(' or ');
  return (value) =>
    words.some((word) => word === value) ? [] : [{ reason: `expected ${expected}, got ${shown(value)}` }];
}
