import { createHash, randomBytes } from 'node:crypto';
import { hostname } from 'node:os';

const PREFIX = 'session_testing';
const TEMPLATE = new RegExp(`^${PREFIX}_template_[0-9a-f]{16}$`);
const CLONE = new RegExp(`^${PREFIX}_[0-9a-f]{8}_([0-9a-f]{6})_([0-9a-z]+)_([0-9a-z]+)_[0-9a-f]{8}$`);
const RADIX = 36;

/** Who made a database, told by its name. */
export interface Maker {
  readonly isOfThisMachine: boolean;
  readonly pid: number;
  /** Milliseconds since 1970. */
  readonly since: number;
}

/** @param key what the template is made of, hashed */
export function nameTemplate(key: string): string {
  return `${PREFIX}_template_${key.slice(0, 16)}`;
}

export function nameClone(key: string): string {
  const run = [process.pid, Date.now()].map((number) => number.toString(RADIX));
  return [PREFIX, key.slice(0, 8), machine(), ...run, randomBytes(4).toString('hex')].join('_');
}

export function isTemplate(name: string): boolean {
  return TEMPLATE.test(name);
}

/** Returns undefined for every name that is not of a clone. */
export function findMaker(name: string): Maker | undefined {
  const [, host, pid = '', since = ''] = CLONE.exec(name) ?? [];
  return host === undefined
    ? undefined
    : { isOfThisMachine: host === machine(), pid: Number.parseInt(pid, RADIX), since: Number.parseInt(since, RADIX) };
}

/** For a pattern of `like`. */
export const DATABASE_NAMES = `${PREFIX.replaceAll('_', String.raw`\_`)}\\_%`;

/** Processes of two machines may have the same number. */
function machine(): string {
  return createHash('sha256').update(hostname()).digest('hex').slice(0, 6);
}
