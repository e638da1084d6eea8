import { readProperty } from './read-property.js';

/** Says what kind of value it is, and nothing of what is in it, which may be secret. Never throws, nor runs its code. */
export function describeType(value: unknown): string {
  if (value === null || value === undefined) {
    return String(value);
  }
  if (typeof value !== 'object') {
    return `a ${typeof value}`;
  }
  const name = readProperty(readProperty(value, 'constructor'), 'name');
  return name === 'Array' ? 'an array' : `an object of the class \`${typeof name === 'string' ? name : 'unknown'}\``;
}
