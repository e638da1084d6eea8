import { inspect, types } from 'node:util';

import { describeThrown } from '../../session/describe-thrown.js';
import { describeType } from '../../session/describe-type.js';
import { readProperty } from '../../session/read-property.js';
import { isCloneable } from './find-uncloneable.js';
import { findErrorClass, nameErrorClass } from './find-error-class.js';

/** A thrown value, in a form that structured clone can copy without loss. */
export type PackedReason =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'list'; readonly items: readonly PackedReason[] }
  | PackedError;

interface PackedError {
  readonly kind: 'error';
  /** The nearest class that both sides know. The data of a DOMException is not in properties. */
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

/** Limits for the number and depth of errors. Structured clone copies only some thousand levels. */
const MOST_ERRORS = 10_000;
const DEEPEST = 100;

/**
 * Packs errors with their class, message, stack, causes and own properties. A property that cannot be copied, or is too
 * deep, becomes a text that shows it. Never throws: whatever a job throws is its outcome.
 */
export function packReason(reason: unknown): PackedReason {
  return pack(reason, new Map(), 0);
}

export function unpackReason(packed: PackedReason): unknown {
  return unpack(packed, new Map());
}

/** An error may be its own cause, through other errors. Structured clone can copy such circles. */
function pack(value: unknown, packed: Map<object, PackedError>, depth: number): PackedReason {
  if (isError(value)) {
    const known = packed.get(value);
    if (known !== undefined) {
      return known;
    }
    return depth === DEEPEST || packed.size === MOST_ERRORS
      ? { kind: 'value', value: describeThrown(value) }
      : tryToPackError(value, packed, depth);
  }
  if (isList(value) && value.some(isError)) {
    return { kind: 'list', items: value.map((item) => pack(item, packed, depth + 1)) };
  }
  return { kind: 'value', value: isCloneable(value) ? value : show(value) };
}

/** The traps of a Proxy may throw. */
function tryToPackError(error: object, packed: Map<object, PackedError>, depth: number): PackedReason {
  try {
    return packError(error, packed, depth);
  } catch {
    packed.delete(error);
    return { kind: 'value', value: describeThrown(error) };
  }
}

function packError(error: object, packed: Map<object, PackedError>, depth: number): PackedError {
  const isDom = isDomException(error);
  const properties: PackedProperty[] = [];
  const result: PackedError = {
    kind: 'error',
    className: isDom ? DOM_EXCEPTION : nameErrorClass(error),
    name: toText(readProperty(error, 'name') ?? 'Error'),
    message: toText(readProperty(error, 'message')),
    properties,
  };
  packed.set(error, result);
  for (const key of new Set(['stack', ...Object.getOwnPropertyNames(error)])) {
    const value = readProperty(error, key);
    const isEnumerable = Object.prototype.propertyIsEnumerable.call(error, key);
    properties.push({ name: key, value: pack(value, packed, depth + 1), isEnumerable });
  }
  return result;
}

/** Does not call the custom `inspect` of a class, which may do anything. */
function show(value: unknown): string {
  try {
    return inspect(value, { depth: 0, customInspect: false });
  } catch {
    return describeType(value);
  }
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
  // Not with the constructor of the class, which may need other arguments, and not with Object.create(), which makes no
  // native error.
  const error = new Error(message);
  Object.setPrototypeOf(error, findErrorClass(className).prototype);
  return error;
}

function define(error: Error, name: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(error, name, { value, enumerable, writable: true, configurable: true });
}

/** Returns a property of an error as text: `message` may be of any type, or missing. */
function toText(value: unknown): string {
  return typeof value === 'string' ? value : describeThrown(value ?? '');
}

function isError(value: unknown): value is object {
  try {
    return value instanceof Error || types.isNativeError(value) || isDomException(value);
  } catch {
    return false;
  }
}

function isList(value: unknown): value is readonly unknown[] {
  return !types.isProxy(value) && Array.isArray(value);
}

function isDomException(value: unknown): boolean {
  return Object.prototype.toString.call(value) === '[object DOMException]';
}
