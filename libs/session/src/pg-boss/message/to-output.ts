import { measureJson } from './measure-json.js';

/**
 * Returns what a handler returned as the JSON that is stored of it: `null` for nothing.
 *
 * @throws {TypeError} for a value that JSON or PostgreSQL would make another one of
 */
export function toOutput(value: unknown, id: string, queue: string): string {
  if (value === undefined) {
    return 'null';
  }
  measureJson(value, { root: 'result', of: `job ${id} of queue "${queue}"` });
  return JSON.stringify(value);
}
