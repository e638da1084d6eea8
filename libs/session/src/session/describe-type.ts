import { readProperty } from './read-property.js';

/**
 * Describes the type of a value, but not its content, which may be secret. Never throws, and runs no code of the value.
 */
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
