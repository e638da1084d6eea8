import { describeType } from '../../session/describe-type.js';
import { readProperty } from '../../session/read-property.js';

/** The depth of nested parts that are searched. Structured clone itself copies only some thousand levels. */
const DEEPEST = 20;

interface Search {
  readonly path: string;
  readonly depth: number;
  readonly seen: Set<unknown>;
}

/**
 * Describes the part of a value that structured clone cannot copy. Returns undefined when it can copy all. Never
 * throws.
 */
export function findUncloneable(value: unknown, path: string): string | undefined {
  return isCloneable(value) ? undefined : nameUncloneable(value, path);
}

/** Describes the part of a value that could not be copied. */
export function nameUncloneable(value: unknown, path: string): string {
  return search(value, { path, depth: 0, seen: new Set() }) ?? describe(value, path);
}

export function isCloneable(value: unknown): boolean {
  if (typeof value === 'function' || typeof value === 'symbol') {
    return false;
  }
  if (typeof value !== 'object' || value === null) {
    return true;
  }
  try {
    structuredClone(value);
    return true;
  } catch {
    // Any error means that the value cannot be copied, even the error of a getter.
    return false;
  }
}

/** Follows the parts that cannot be copied down to the innermost one, which is the cause. */
function search(value: unknown, { path, depth, seen }: Search): string | undefined {
  if (seen.has(value)) {
    return undefined;
  }
  seen.add(value);
  if (depth === DEEPEST) {
    return describe(value, path);
  }
  const parts = listPartsOf(value).filter(([, part]) => !isCloneable(part));
  for (const [name, part] of parts) {
    const found = search(part, { path: path + name, depth: depth + 1, seen });
    if (found !== undefined) {
      return found;
    }
  }
  return parts.length === 0 ? describe(value, path) : undefined;
}

/** Returns nothing for a Proxy whose traps throw. */
function listPartsOf(value: unknown): (readonly [name: string, part: unknown])[] {
  try {
    return [...listNamed(value)];
  } catch {
    return [];
  }
}

function* listNamed(value: unknown): Iterable<readonly [name: string, part: unknown]> {
  if (typeof value !== 'object' || value === null) {
    return;
  }
  if (value instanceof Map) {
    for (const [key, part] of value) {
      yield [`.key(${nameKey(key)})`, key];
      yield [`.get(${nameKey(key)})`, part];
    }
  } else if (value instanceof Set) {
    for (const [nth, part] of [...value].entries()) {
      yield [`.values()[${nth}]`, part];
    }
  } else {
    for (const key of Object.keys(value)) {
      // A property whose getter throws cannot be copied either.
      yield [toPath(value, key), readProperty(value, key) ?? Symbol(key)];
    }
  }
}

function nameKey(key: unknown): string {
  return typeof key === 'string' || typeof key === 'number' ? String(key) : describeType(key);
}

function toPath(value: object, key: string): string {
  return Array.isArray(value) || !/^[A-Za-z_$][\w$]*$/.test(key) ? `[${key}]` : `.${key}`;
}

function describe(value: unknown, path: string): string {
  return `\`${path}\` is ${describeType(value)}`;
}
