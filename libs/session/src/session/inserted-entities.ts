import { type AnyEntity, type EntityManager, helper } from '@mikro-orm/core';

interface Inserted {
  readonly entity: AnyEntity;
  /** The EntityManager whose transaction decides what becomes of the row. */
  readonly em: EntityManager;
}

/** Remembers the entities that one session has inserted in open transactions. */
export class InsertedEntities {
  #inserted: Inserted[] = [];

  constructor(private readonly session: EntityManager) {}

  add(entity: AnyEntity, em: EntityManager): void {
    this.#inserted.push({ entity, em });
  }

  /** Leaves the rows of a savepoint to the transaction around it. */
  move(from: EntityManager, to: EntityManager): void {
    this.#inserted = this.#inserted.map((one) => (one.em === from ? { entity: one.entity, em: to } : one));
  }

  /** Forgets what was inserted in a transaction that was committed. */
  commit(em: EntityManager): void {
    this.#take(em);
  }

  /** Makes the entities new again whose rows are gone with a transaction. */
  rollBack(em: EntityManager): void {
    for (const { entity } of this.#take(em)) {
      makeNew(entity, [em, this.session]);
    }
  }

  #take(em: EntityManager): readonly Inserted[] {
    const taken = this.#inserted.filter((one) => one.em === em);
    this.#inserted = taken.length === this.#inserted.length ? [] : this.#inserted.filter((one) => one.em !== em);
    return taken;
  }
}

/**
 * MikroORM takes an entity that it has inserted for a row of the table for ever: persisted once more, in this session or
 * the next, it would not be inserted, without a word.
 */
function makeNew(entity: AnyEntity, managers: readonly EntityManager[]): void {
  const wrapped = helper(entity);
  for (const em of [...managers, wrapped.__em]) {
    em?.getUnitOfWork(false).getIdentityMap().delete(entity);
  }
  Object.assign(wrapped, { __managed: false, __em: undefined, __originalEntityData: undefined });
}
