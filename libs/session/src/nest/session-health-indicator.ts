import { assertOptions, integerFrom, milliseconds } from '../session/assert-options.js';
import { describeThrown } from '../session/describe-thrown.js';
import { namePools } from '../session/pool/name-pools.js';
import { unlessInTime } from '../session/pool/unless-in-time.js';
import type { SessionSource } from '../session/session-source.js';
import type { SessionConnections } from './session-connections.js';

const LABEL = 'SessionHealthIndicator';
const PATIENCE_MS = 1_000;

const rules = { waiting: integerFrom(0), timeout: milliseconds };

/** When a health check is `down`. */
export interface SessionHealthOptions {
  /** The number of callers that may wait for a connection of a pool. @default any number */
  readonly waiting?: number | undefined;
  /** Milliseconds in which each database must answer. The wait for a connection counts. @default 1000 */
  readonly timeout?: number | undefined;
}

/** The connections of a pool, as a health check sees them. */
export interface PoolHealth {
  /** The largest number of connections. Undefined where there is no limit. */
  readonly max: number | undefined;
  /** The number of open connections. */
  readonly size: number;
  /** The number of idle connections. */
  readonly idle: number;
  /** The number of connections in use. */
  readonly inUse: number;
  /** The number of callers that wait for a connection. */
  readonly waiting: number;
}

/** The result of a health check, in the form of @nestjs/terminus. */
export type SessionHealth<Key extends string> = Record<
  Key,
  | { readonly status: 'up'; readonly pools: Readonly<Record<string, PoolHealth>> }
  | { readonly status: 'down'; readonly message: string; readonly pools: Readonly<Record<string, PoolHealth>> }
>;

/**
 * Checks that each connection of `SessionModule` gets an answer from its database, and tells how busy its pool is.
 *
 * @example
 * health.check([() => sessions.check('sessions', { waiting: 20 })])
 */
export class SessionHealthIndicator {
  readonly #connections: SessionConnections;

  constructor(connections: SessionConnections) {
    this.#connections = connections;
  }

  /**
   * Returns `down` instead of throwing.
   *
   * @throws {TypeError} for a wrong option
   */
  async check<Key extends string>(key: Key, options: SessionHealthOptions = {}): Promise<SessionHealth<Key>> {
    assertOptions(`${LABEL}.check()`, options, rules);
    const { waiting = Infinity, timeout = PATIENCE_MS } = options;
    const { sources } = this.#connections;
    const named = namePools(sources);
    const crowded = named
      .filter(({ facts }) => facts.waiting > waiting)
      .map(({ name, facts }) => `In the pool "${name}" wait ${facts.waiting} callers, more than ${waiting}.`);
    const silent = await Promise.all(sources.map((source) => ping(source, timeout)));
    const messages = [...crowded, ...silent.filter((message) => message !== undefined)];
    const pools = Object.fromEntries(
      named.map(({ name, facts: { max, size, idle, waiting: waits } }) => [
        name,
        { max, size, idle, inUse: size - idle, waiting: waits },
      ]),
    );
    const health = messages.length === 0 ? { status: 'up' } : { status: 'down', message: messages.join(' ') };
    return { [key]: { ...health, pools } } as SessionHealth<Key>;
  }
}

/** Returns what is wrong with a connection. The check is in a scope, so that it waits for a connection as all work does. */
function ping(source: SessionSource, timeout: number): Promise<string | undefined> {
  const { orm, connections } = source;
  const about = `The connection "${orm.em.name}"`;
  return source.inScope({ kind: 'run', label: LABEL }, async (scope) => {
    const late = Promise.withResolvers<string>();
    const isInTime = unlessInTime(timeout, () => {
      late.resolve(`${about} got no answer within ${timeout} ms.`);
      // The answer may never come. Each check would then take one more connection away.
      connections.abandon(scope);
    });
    try {
      return await Promise.race([findFault(source, about), late.promise]);
    } finally {
      isInTime();
      // Otherwise each check of a full pool would leave one more caller that waits.
      connections.leave(scope, () => new Error(`${LABEL} waits no longer`));
    }
  });
}

async function findFault({ orm }: SessionSource, about: string): Promise<string | undefined> {
  try {
    const state = await orm.driver.getConnection('write').checkConnection();
    return state.ok ? undefined : `${about} cannot be used: ${state.reason}`;
  } catch (error) {
    return `${about} cannot be used: ${describeThrown(error)}`;
  }
}
