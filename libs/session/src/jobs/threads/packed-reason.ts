import { inspect, types } from 'node:util';

import { isCloneable } from './cloneable.js';
import { findKnownClass, nameKnownClass } from './known-errors.js';

/** What was thrown, in a form that structured clone can copy without loss. */
export type PackedReason =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'list'; readonly items: readonly PackedReason[] }
  | PackedError;

interface PackedError {
  readonly kind: 'error';
  /** The nearest class that both sides know. A DOMException has its data where no property shows it. */
  readonly className: string;
  readonly message: string;
  readonly name: string;
  readonly properties: PackedProperty[];
}

interface PackedProperty {
  readonly name: string;
  readonly value: PackedReason;
  readonly isEnumerable: boolean;
}

const DOM_EXCEPTION = 'DOMException';

/**
 * Packs errors with their class, message, stack, causes and own properties. A property that cannot be copied becomes
 * the text that shows it.
 */
export function packReason(reason: unknown): PackedReason {
  return pack(reason, new Map());
}

export function unpackReason(packed: PackedReason): unknown {
  return unpack(packed, new Map());
}

/** An error may be the cause of itself, by way of others: structured clone keeps such circles. */
function pack(value: unknown, packed: Map<object, PackedError>): PackedReason {
  if (isError(value)) {
    return packed.get(value) ?? packError(value, packed);
  }
  if (Array.isArray(value) && value.some(isError)) {
    return { kind: 'list', items: value.map((item) => pack(item, packed)) };
  }
  return { kind: 'value', value: isCloneable(value) ? value : inspect(value, { depth: 1 }) };
}

function packError(error: Error, packed: Map<object, PackedError>): PackedError {
  const isDom = isDomException(error);
  const { name, message } = error;
  const properties: PackedProperty[] = [];
  const result: PackedError = {
    kind: 'error',
    className: isDom ? DOM_EXCEPTION : nameKnownClass(error),
    name: toText(name),
    message: toText(message),
    properties,
  };
  packed.set(error, result);
  for (const key of new Set(['stack', ...Object.getOwnPropertyNames(error)])) {
    const value: unknown = (error as unknown as Readonly<Record<string, unknown>>)[key];
    const isEnumerable = Object.prototype.propertyIsEnumerable.call(error, key);
    properties.push({ name: key, value: pack(value, packed), isEnumerable });
  }
  return result;
}

function unpack(packed: PackedReason, unpacked: Map<PackedReason, Error>): unknown {
  switch (packed.kind) {
    case 'value':
      return packed.value;
    case 'list':
      return packed.items.map((item) => unpack(item, unpacked));
    case 'error':
      return unpacked.get(packed) ?? unpackError(packed, unpacked);
  }
}

function unpackError(packed: PackedError, unpacked: Map<PackedReason, Error>): Error {
  const error = createError(packed);
  unpacked.set(packed, error);
  for (const { name, value, isEnumerable } of packed.properties) {
    define(error, name, unpack(value, unpacked), isEnumerable);
  }
  if (error.name !== packed.name) {
    define(error, 'name', packed.name, false);
  }
  return error;
}

function createError({ className, message, name }: PackedError): Error {
  if (className === DOM_EXCEPTION) {
    return new DOMException(message, name);
  }
  // Neither a constructor, which may want other arguments, nor Object.create(), which makes no real error.
  const error = new Error(message);
  Object.setPrototypeOf(error, findKnownClass(className).prototype);
  return error;
}

function define(error: Error, name: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(error, name, { value, enumerable, writable: true, configurable: true });
}

/** Nothing keeps the message of an error from being something else. */
function toText(value: unknown): string {
  return String(value);
}

function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value) || isDomException(value);
}

function isDomException(value: unknown): value is DOMException {
  return Object.prototype.toString.call(value) === '[object DOMException]';
}
