import { inspect } from 'node:util';

/** Shows a value of a client, shortened. */
export function shown(value: unknown): string {
  return value === undefined
    ? 'nothing'
    : inspect(value, { depth: 0, breakLength: Infinity, maxStringLength: 40, maxArrayLength: 3 });
}
