import { type AnyEntity, type EntityManager, Utils } from '@mikro-orm/core';

import { STATE, type WithState } from '../known-session.js';
import type { EntityManagerClass } from '../entity-manager-class.js';

/** The methods of MikroORM's EntityManagers that write, or may write, rows without the unit of work. */
const METHODS = [
  'nativeUpdate',
  'nativeDelete',
  'insert',
  'insertMany',
  'upsert',
  'upsertMany',
  'clone',
  'execute',
  'createQueryBuilder',
  'qb',
  'getKysely',
] as const;

type Method = (this: EntityManager, ...args: unknown[]) => unknown;

/**
 * Tells the open transaction of a session that rows are written past its unit of work: what is loaded from then on may
 * be gone with it.
 *
 * @param find the EntityManager that a call of a method goes to, if that is one of a session
 */
export function noteDirectWrites(
  sessions: EntityManagerClass,
  find: (em: EntityManager) => (EntityManager & WithState) | undefined,
): void {
  // Seam: mikro-orm/direct-writes
  const methods = sessions.prototype as unknown as Record<string, Method | undefined>;
  for (const name of METHODS) {
    const inherited = methods[name];
    if (inherited !== undefined) {
      methods[name] = function (...args) {
        const em = find(this);
        const undo = em?.[STATE]?.knownTransactions?.undoOf(em);
        if (undo !== undefined) {
          undo.expectStrangers();
          entitiesOf(name, args).forEach((entity) => undo.add(entity, undefined));
        }
        return inherited.apply(this, args);
      };
    }
  }
}

/** The entities that MikroORM takes for managed, and for no rows, after it has inserted them. */
function entitiesOf(name: (typeof METHODS)[number], args: readonly unknown[]): AnyEntity[] {
  return name === 'insert' || name === 'insertMany'
    ? args.flat().filter((one): one is AnyEntity => Utils.isEntity(one))
    : [];
}
