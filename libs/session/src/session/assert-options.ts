import { inspect } from 'node:util';

/** The longest time that a timer of Node.js can wait: 24 days. */
export const LONGEST_MS = 2 ** 31 - 1;

/** The rule for the value of one option. */
export interface Rule {
  /** Ends the sentence "Expected `option` to be ...". */
  readonly what: string;
  holds(value: unknown): boolean;
}

export type Rules = Readonly<Record<string, Rule>>;

export const isNumber = (value: unknown, from: number, to: number): boolean =>
  typeof value === 'number' && value >= from && value <= to;

export const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

export const integerFrom = (least: number): Rule => ({
  what: `an integer of ${least} or more`,
  holds: (value) => Number.isInteger(value) && (value as number) >= least,
});

export const oneOf = (...values: readonly string[]): Rule => ({
  what: values.map((value) => `'${value}'`).join(' or '),
  holds: (value) => values.includes(value as string),
});

export const ofType = (type: 'string' | 'boolean' | 'function'): Rule => ({
  what: `a ${type}`,
  holds: (value) => typeof value === type,
});

export const anObject: Rule = { what: 'an object', holds: (value) => isObject(value) && !Array.isArray(value) };

export const aName: Rule = {
  what: 'a string that is not empty',
  holds: (value) => typeof value === 'string' && value !== '',
};

export const anAbortSignal: Rule = { what: 'an AbortSignal', holds: (value) => value instanceof AbortSignal };

export const milliseconds: Rule = {
  what: `milliseconds from 0 to ${LONGEST_MS}`,
  holds: (value) => isNumber(value, 0, LONGEST_MS),
};

export const anything: Rule = { what: 'anything', holds: () => true };

/**
 * @param whose the name of the class or method that takes the options
 * @param prefix the start of the names of the options, such as `http.`
 * @throws {TypeError} for an unknown option, and for the first option with a wrong value
 */
export function assertOptions(whose: string, options: unknown, rules: Rules, prefix = ''): void {
  const name = prefix === '' ? 'options' : prefix.slice(0, -1);
  assertRule(name, options, anObject);
  for (const [key, value] of Object.entries(options as object)) {
    const rule = Object.hasOwn(rules, key) ? rules[key] : undefined;
    if (rule === undefined) {
      const known = Object.keys(rules).map((option) => `\`${prefix}${option}\``);
      throw new TypeError(`${whose} has no option \`${prefix}${key}\`. It has ${known.join(', ')}.`);
    }
    if (value !== undefined) {
      assertRule(prefix + key, value, rule);
    }
  }
}

/** @throws {TypeError} when the value does not fit the rule */
export function assertRule(name: string, value: unknown, rule: Rule): void {
  if (!rule.holds(value)) {
    const shown = inspect(value, { depth: 0 });
    throw new TypeError(`Expected \`${name}\` to be ${rule.what}, got \`${shown}\` (${typeof value}).`);
  }
}
