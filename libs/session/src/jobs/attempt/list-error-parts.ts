import { readProperty } from '../../session/read-property.js';

/** The most parts that are listed. A getter may return a new cause each time, without end. */
const MOST_PARTS = 1_000;

/** Lists an error, its causes and the parts of its AggregateErrors, each once, the nearest first. Never throws. */
export function listErrorParts(error: unknown): readonly object[] {
  const parts = new Set<object>();
  const found: unknown[] = [error];
  for (const part of found) {
    if (parts.size === MOST_PARTS) {
      break;
    }
    if (typeof part === 'object' && part !== null && !parts.has(part)) {
      parts.add(part);
      found.push(readProperty(part, 'cause'), ...listErrors(part));
    }
  }
  return [...parts];
}

/** Returns the `errors` of an AggregateError. */
export function listErrors(error: unknown): readonly unknown[] {
  const errors = readProperty(error, 'errors');
  try {
    return Array.isArray(errors) ? errors.slice(0, MOST_PARTS) : [];
  } catch {
    return [];
  }
}
