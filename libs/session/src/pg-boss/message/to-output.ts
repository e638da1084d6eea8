import { measureJson } from './measure-json.js';

/**
 * Returns the result of a handler as JSON: `null` for undefined.
 *
 * @throws {TypeError} for a value that JSON or PostgreSQL would change or lose
 */
export function toOutput(value: unknown, id: string, queue: string): string {
  if (value === undefined) {
    return 'null';
  }
  measureJson(value, { root: 'result', of: `job ${id} of queue "${queue}"` });
  return JSON.stringify(value);
}
