import { createHash, randomBytes } from 'node:crypto';
import { hostname } from 'node:os';

const PREFIX = 'session_testing';
const TEMPLATE = new RegExp(`^${PREFIX}_template_[0-9a-f]{16}$`);
const CLONE = new RegExp(`^${PREFIX}_[0-9a-f]{8}_([0-9a-f]{6})_([0-9a-z]+)_([0-9a-z]+)_[0-9a-f]{8}$`);
const RADIX = 36;

/** The process that made a database, as its name says. */
export interface Maker {
  readonly isOfThisMachine: boolean;
  readonly pid: number;
  /** Milliseconds since 1970. */
  readonly since: number;
}

/** @param key the hash of the content of the template */
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

/** Returns undefined for a name that is not the name of a clone. */
export function findMaker(name: string): Maker | undefined {
  const [, host, pid = '', since = ''] = CLONE.exec(name) ?? [];
  return host === undefined
    ? undefined
    : { isOfThisMachine: host === machine(), pid: Number.parseInt(pid, RADIX), since: Number.parseInt(since, RADIX) };
}

/** A pattern for `like`. */
export const DATABASE_NAMES = `${PREFIX.replaceAll('_', String.raw`\_`)}\\_%`;

/** Identifies the machine: processes of two machines may have the same id. */
function machine(): string {
  return createHash('sha256').update(hostname()).digest('hex').slice(0, 6);
}
