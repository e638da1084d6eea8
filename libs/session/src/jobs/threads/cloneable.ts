/** Names the part of a value that structured clone cannot copy, and says what it is. Nothing when it can copy it all. */
export function findObstacle(value: unknown, path: string): string | undefined {
  if (isCloneable(value)) {
    return undefined;
  }
  return search(value, path, new Set()) ?? describe(value, path);
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
    // Whatever it is, a getter that throws included: it cannot be copied.
    return false;
  }
}

/** Goes on from part to part that cannot be copied. The last one is to blame. */
function search(value: unknown, path: string, seen: Set<unknown>): string | undefined {
  if (seen.has(value)) {
    return undefined;
  }
  seen.add(value);
  const parts = listParts(value).filter(([, part]) => !isCloneable(part));
  for (const [name, part] of parts) {
    const found = search(part, path + name, seen);
    if (found !== undefined) {
      return found;
    }
  }
  return parts.length === 0 ? describe(value, path) : undefined;
}

function listParts(value: unknown): (readonly [name: string, part: unknown])[] {
  if (typeof value !== 'object' || value === null) {
    return [];
  }
  if (value instanceof Map) {
    return [...value].flatMap(([key, part]) => [
      [`.key(${String(key)})`, key] as const,
      [`.get(${String(key)})`, part],
    ]);
  }
  if (value instanceof Set) {
    return [...value].map((part, nth) => [`.values()[${nth}]`, part] as const);
  }
  return Object.keys(value).map((key) => [toPath(value, key), read(value, key)] as const);
}

/** A getter that throws stands for something that cannot be copied either. */
function read(value: object, key: string): unknown {
  try {
    return (value as Readonly<Record<string, unknown>>)[key];
  } catch {
    return Symbol(key);
  }
}

function toPath(value: object, key: string): string {
  return Array.isArray(value) || !/^[A-Za-z_$][\w$]*$/.test(key) ? `[${key}]` : `.${key}`;
}

function describe(value: unknown, path: string): string {
  if (typeof value === 'object' && value !== null) {
    const { constructor } = value;
    return `\`${path}\` is an object of the class \`${typeof constructor === 'function' ? constructor.name : 'unknown'}\``;
  }
  return `\`${path}\` is a ${typeof value}`;
}
