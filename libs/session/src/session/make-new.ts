import { type AnyEntity, type EntityManager, helper } from '@mikro-orm/core';

/**
 * Makes an entity new again whose row is gone with the transaction that inserted it. MikroORM takes it for a row of the
 * table for ever: persisted once more, in this session or the next, it would not be inserted, without a word.
 */
export function makeNew(entity: AnyEntity, managers: readonly EntityManager[]): void {
  const wrapped = helper(entity);
  for (const em of [...managers, wrapped.__em]) {
    em?.getUnitOfWork(false).getIdentityMap().delete(entity);
  }
  Object.assign(wrapped, { __managed: false, __em: undefined, __originalEntityData: undefined });
}
