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
 * Notes that rows are written past the unit of work of a session. A rollback may remove rows that are loaded after
 * that.
 *
 * @param find returns the EntityManager that gets the call, if it belongs to a session
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

/** The inserted entities. MikroORM makes them managed, but remembers no row for them. */
function entitiesOf(name: (typeof METHODS)[number], args: readonly unknown[]): AnyEntity[] {
  return name === 'insert' || name === 'insertMany'
    ? args.flat().filter((one): one is AnyEntity => Utils.isEntity(one))
    : [];
}
