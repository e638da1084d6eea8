import { inspect, types } from 'node:util';

import { isStorable } from './to-storable-text.js';

/** The largest depth of a value. PostgreSQL has a limit too. */
const MAX_DEPTH = 1_000;

/** The largest number of characters of a value: `jsonb` holds at most 256 MB. */
const MAX_SIZE = 2 ** 27;

/** Describes the value for the message of the error. */
export interface JsonSubject {
  /** The first part of the path: `input`, `result`. */
  readonly root: string;
  /** The owner of the value: `a job for queue "mail"`. */
  readonly of: string;
}

/**
 * Returns the approximate number of characters of a value as JSON.
 *
 * @throws {TypeError} for a value that JSON or PostgreSQL cannot hold, or would change. The error names the path.
 * Allowed are dates, which become ISO text, objects with `toJSON()`, objects of a class, which become their fields, and
 * `undefined` in an object, which JSON leaves out
 */
export function measureJson(value: unknown, { root, of }: JsonSubject): number {
  const walk = new Walk();
  try {
    const size = walk.measure(value, '');
    if (size > MAX_SIZE) {
      throw new Obstacle(value, `it has about ${size} characters, and ${MAX_SIZE} are the most. Store it elsewhere`);
    }
    return size;
  } catch (error) {
    const expected = `Expected \`${root}${walk.path}\` of ${of} to be something that JSON in PostgreSQL can hold`;
    throw error instanceof Obstacle
      ? new TypeError(`${expected}, got ${show(error.value)}: ${error.message}.`)
      : new TypeError(`${expected}, but it throws when it is read.`, { cause: error });
  }
}

class Obstacle extends Error {
  constructor(
    readonly value: unknown,
    why: string,
  ) {
    super(why);
  }
}

/** Walks through a value, and stops at the first obstacle. */
class Walk {
  readonly #keys: (string | number)[] = [];
  readonly #around = new Set<object>();

  get path(): string {
    return this.#keys.map((key) => (typeof key === 'number' ? `[${key}]` : toMember(key))).join('');
  }

  measure(value: unknown, key: string): number {
    switch (typeof value) {
      case 'string':
        return measureText(value);
      case 'number':
        if (!Number.isFinite(value)) {
          throw new Obstacle(value, 'JSON would turn it into null');
        }
        return 8;
      case 'boolean':
        return 5;
      case 'object':
        return value === null ? 4 : this.#measureObject(value, key);
      case 'bigint':
        throw new Obstacle(value, 'JSON cannot hold this number. Send it as text');
      case 'undefined':
      case 'function':
      case 'symbol':
        throw new Obstacle(value, 'JSON cannot hold it');
    }
  }

  #measureObject(value: object, key: string): number {
    if (this.#around.has(value)) {
      throw new Obstacle(value, 'it contains itself');
    }
    if (this.#around.size === MAX_DEPTH) {
      throw new Obstacle(value, `it is nested deeper than ${MAX_DEPTH} levels`);
    }
    this.#around.add(value);
    const size = this.#measureParts(value, key);
    this.#around.delete(value);
    return size;
  }

  #measureParts(value: object, key: string): number {
    if (hasToJson(value)) {
      if (types.isDate(value) && Number.isNaN(value.getTime())) {
        throw new Obstacle(value, 'JSON would turn it into null');
      }
      const json = value.toJSON(key);
      return json === value ? this.#measureMembers(value) : this.measure(json, key);
    }
    if (types.isBoxedPrimitive(value)) {
      return this.measure(value.valueOf(), key);
    }
    return Array.isArray(value) ? this.#measureItems(value) : this.#measureMembers(value);
  }

  #measureItems(items: readonly unknown[]): number {
    let size = 2;
    for (let nth = 0; nth < items.length; nth += 1) {
      this.#keys.push(nth);
      const item = items[nth];
      if (item === undefined) {
        throw new Obstacle(item, 'JSON would turn it into null');
      }
      size += 1 + this.measure(item, String(nth));
      this.#keys.pop();
    }
    return size;
  }

  #measureMembers(value: object): number {
    const names = Object.keys(value);
    if (isLost(value, names.length)) {
      throw new Obstacle(value, 'JSON does not keep what it holds. Send plain data');
    }
    let size = 2;
    for (const name of names) {
      this.#keys.push(name);
      const member = (value as Readonly<Record<string, unknown>>)[name];
      if (member !== undefined) {
        size += 2 + measureText(name) + this.measure(member, name);
      }
      this.#keys.pop();
    }
    return size;
  }
}

function measureText(text: string): number {
  if (!isStorable(text)) {
    throw new Obstacle(text, 'PostgreSQL takes neither the character NUL nor half of a surrogate pair');
  }
  return text.length + 2;
}

function hasToJson(value: object): value is { toJSON(key: string): unknown } {
  return typeof (value as { readonly toJSON?: unknown }).toJSON === 'function';
}

/** Whether JSON would lose the content of an object, because it is not in its fields. */
function isLost(value: object, fields: number): boolean {
  if (types.isMap(value) || types.isSet(value) || types.isNativeError(value) || ArrayBuffer.isView(value)) {
    return true;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  return fields === 0 && prototype !== null && Object.getPrototypeOf(prototype) !== null;
}

function toMember(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/** Shows the length of a text only: it may be a secret. */
function show(value: unknown): string {
  if (typeof value === 'string') {
    return `a text of ${value.length} characters`;
  }
  return `\`${inspect(value, { depth: 0, customInspect: false, breakLength: Infinity, maxStringLength: 80, maxArrayLength: 3 })}\``;
}
