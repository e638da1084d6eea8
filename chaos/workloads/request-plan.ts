import type { Random } from '../random.js';

/** `whole`: answered or given up by a client with some patience. `cut`: given up soon. `raw`: bytes that may be no request. */
type Manner = 'whole' | 'cut' | 'raw';

/** What becomes of bytes that are sent by hand. */
type RawEnd = 'destroy' | 'half-close' | 'reset';

export interface PlannedRequest {
  readonly manner: Manner;
  readonly method: string;
  readonly route: string;
  readonly key: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The paths of requests that are sent at once behind this one. */
  readonly followers: readonly string[];
  /** How much of the bytes is sent, from 0 to 1. */
  readonly share: number;
  readonly end: RawEnd;
}

/** The routes whose good answer says that a row is there. */
export const COMMITTING: ReadonlySet<string> = new Set([
  'transaction',
  'flush',
  'begin',
  'in-session',
  'order',
  'savepoint',
]);

/** The route that no application has. */
export const NOWHERE = 'nowhere';

const ROUTES = [
  ...COMMITTING,
  'transaction',
  'flush',
  'jobs',
  'throw',
  'left-open',
  'never',
  'refused',
  'slow',
  'stream',
  NOWHERE,
] as unknown as readonly [string, ...string[]];
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
const ODD_METHODS = [...METHODS, 'HEAD', 'TRACE', 'PROPFIND', 'FOO', 'get', ''] as const;
const TYPES = [
  'application/json',
  'application/x-www-form-urlencoded',
  'text/plain',
  'multipart/form-data',
  '\u00E4',
] as const;
const BODIES = ['', '{}', '{"a":1}', '{"a":', 'a=1&b[c]=2', '"\\u0000"', '[[[[[[[['] as const;
const MANNERS = ['whole', 'whole', 'whole', 'cut', 'cut', 'raw'] as const;

/** Makes up a request: any route, method, headers and body, in any manner. */
export function planRequest(random: Random, key: string): PlannedRequest {
  const manner = random.pick(MANNERS);
  const route = random.pick(ROUTES);
  const method = random.pick(manner === 'raw' ? ODD_METHODS : METHODS);
  const body = method === 'GET' || random.chance(0.5) ? '' : random.pick(BODIES);
  return {
    manner,
    method,
    route,
    key,
    path: toPath(route, key),
    headers: planHeaders(random, body),
    body,
    followers: planFollowers(random, key),
    share: random.chance(0.4) ? 1 : random.next(),
    end: random.pick(['destroy', 'half-close', 'reset']),
  };
}

function toPath(route: string, key: string): string {
  return `/${route}/${key}`;
}

function planHeaders(random: Random, body: string): Record<string, string> {
  return {
    ...(body !== '' && { 'content-type': random.pick(TYPES.slice(0, 4) as unknown as typeof TYPES) }),
    ...(body !== '' && { 'content-length': String(Buffer.byteLength(body)) }),
    ...(random.chance(0.3) && { 'x-anything': 'x'.repeat(random.integer(0, 4_000)) }),
    ...(random.chance(0.1) && { expect: '100-continue' }),
    ...(random.chance(0.1) && { 'accept-encoding': 'gzip, br;q=0, *;q=0.1' }),
    ...(random.chance(0.1) && { cookie: '=;;a=%00; =' }),
  };
}

function planFollowers(random: Random, key: string): string[] {
  const count = random.chance(0.5) ? random.integer(1, 4) : 0;
  return Array.from({ length: count }, (_, index) => toPath(random.pick(ROUTES), `${key}-${index}`));
}
