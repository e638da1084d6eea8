import { describeType } from './describe-type.js';
import { readProperty } from './read-property.js';

/** The message of an SQL error contains the whole statement, which may be very long. */
const LONGEST = 1_000;

/** Describes a thrown value: the message of an error, a primitive as text, the type of anything else. Never throws. */
export function describeThrown(thrown: unknown): string {
  const message = readProperty(thrown, 'message');
  const text = typeof message === 'string' ? message : describeValue(thrown);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text;
}

function describeValue(value: unknown): string {
  return isPrimitive(value) ? String(value) : describeType(value);
}

function isPrimitive(value: unknown): value is string | number | bigint | boolean | symbol | null | undefined {
  return (typeof value !== 'object' && typeof value !== 'function') || value === null;
}
