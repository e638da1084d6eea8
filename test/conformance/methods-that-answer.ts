import { EntityManager } from '@mikro-orm/postgresql';

import { Note } from '../support/note.entity.js';

type Use = (this: EntityManager, ...args: unknown[]) => unknown;

/** The methods that reach what all sessions of an application share, and nothing of the session. */
const SHARED = [
  'canPopulate',
  'getComparator',
  'getConnection',
  'getDriver',
  'getEventManager',
  'getHydrator',
  'getMetadata',
  'getPlatform',
  'getRepository',
  'refreshMaterializedView',
  'repo',
];

/** The private, protected and internal steps of methods that refuse. */
const INNER = [
  'applyDiscriminatorCondition',
  'autoJoinRefsForFilters',
  'buildFields',
  'checkLockRequirements',
  'createPopulateWhere',
  'forceSelectInForLimitedPopulate',
  'getJoinedFilters',
  'getPopulateWhere',
  'lockAndPopulate',
  'mergeSessionContext',
  'preparePopulate',
  'processUnionWhere',
  'processWhere',
  'shouldRefresh',
  'validateIndexUsage',
  'validateSessionContextStaging',
  'validateWhereKeysForIndex',
];

/** A step of MikroORM 7.1, which 7.2 makes with a session alone. */
const OLD = 'getSessionContext' in EntityManager.prototype ? [] : ['cacheKey'];

/** What may be used without a session, or after its end. */
export const METHODS_WITHOUT_SESSION: readonly string[] = [...SHARED, ...INNER, ...OLD].toSorted();

/**
 * Uses every method and accessor of a session, and names those that do not refuse with the given error. They are read
 * from its classes, so that a new release of MikroORM slips none past the tests.
 */
export async function findMethodsThatAnswer(
  session: EntityManager,
  refusal: new (...args: never[]) => Error,
): Promise<string[]> {
  const answering: string[] = [];
  for (const [name, use] of listUses(session)) {
    const outcome = await attempt(() => use.call(session, Note, { id: 1, text: 'x' }));
    if (!(outcome instanceof refusal)) {
      answering.push(name);
    }
  }
  return answering.toSorted();
}

/** Lists what can be called or read on a session, by name: that of its own class goes before that of those it extends. */
function listUses(session: EntityManager): Map<string, Use> {
  const uses = new Map<string, Use>();
  for (let owner = prototypeOf(session); owner !== Object.prototype; owner = prototypeOf(owner)) {
    for (const [name, { value, get }] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
      const use: unknown = get ?? value;
      if (typeof use === 'function' && name !== 'constructor' && !uses.has(name)) {
        uses.set(name, use as Use);
      }
    }
  }
  return uses;
}

function prototypeOf(value: object): object {
  return Object.getPrototypeOf(value) as object;
}

/** Returns what the use throws, or what comes of it: of a stream, its first item. */
async function attempt(use: () => unknown): Promise<unknown> {
  try {
    const result = await use();
    const stream = result as Partial<AsyncIterator<unknown>> | undefined;
    return typeof stream?.next === 'function' ? await stream.next() : result;
  } catch (error) {
    return error;
  }
}
