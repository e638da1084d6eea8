import type { AnyEntity, EntityManager } from '@mikro-orm/core';

import { type AnyCollection, collectionsOf, CollectionState, dropUnflushed } from './collection-state.js';
import { EntityValues, rowOf, type Values } from './entity-values.js';
import { WrittenEntity } from './written-entity.js';

/** The unflushed changes of an entity before the transaction began. */
interface Unflushed {
  readonly values: Values;
  readonly collections: ReadonlyMap<AnyCollection, CollectionState>;
}

export interface TransactionUndoOptions {
  /** The EntityManager that is used on after a rollback. */
  readonly em: EntityManager;
  /** The EntityManagers that may know the rows of the transaction. */
  readonly managers: readonly EntityManager[];
  /** How much a rollback undoes. `flush`: the effects of one flush. `all`: changes that were not flushed yet too. */
  readonly extent: 'flush' | 'all';
}

/**
 * Undoes the effects of a transaction in the unit of work of a session. After a rollback, the session shows what the
 * database holds, and the changes that waited for a flush when the transaction began.
 */
export class TransactionUndo {
  readonly #written = new Map<AnyEntity, WrittenEntity>();
  readonly #options: TransactionUndoOptions;
  #managers: readonly EntityManager[];
  readonly #values: EntityValues;
  #expectsStrangers = false;
  readonly #persisted: readonly AnyEntity[];
  readonly #removed: readonly AnyEntity[];
  readonly #orphans: readonly AnyEntity[];
  readonly #unflushed: ReadonlyMap<AnyEntity, Unflushed>;

  constructor(options: TransactionUndoOptions) {
    const unitOfWork = options.em.getUnitOfWork(false);
    this.#options = options;
    this.#managers = options.managers;
    this.#values = new EntityValues(options.em);
    this.#persisted = [...unitOfWork.getPersistStack()];
    this.#removed = [...unitOfWork.getRemoveStack()];
    this.#orphans = [...unitOfWork.getOrphanRemoveStack()];
    this.#unflushed = options.extent === 'flush' ? new Map() : this.#findUnflushed();
  }

  /** Remembers the state of an entity before its row is written. Only the first call counts. */
  add(entity: AnyEntity, row: Values | undefined): void {
    if (!this.#written.has(entity)) {
      this.#written.set(entity, new WrittenEntity(entity, row, this.#managers));
    }
  }

  /** Notes a fork that the transaction runs in. */
  join(fork: EntityManager): void {
    this.#managers = [fork, ...this.#managers];
  }

  /**
   * Notes that rows are written past the unit of work. Rows that are loaded from now on may belong to this transaction.
   */
  expectStrangers(): void {
    if (this.#expectsStrangers) {
      return;
    }
    this.#expectsStrangers = true;
    for (const entity of this.#managers[0]?.getUnitOfWork(false).getIdentityMap() ?? []) {
      const row = rowOf(entity);
      if (row !== undefined) {
        // A copy, because MikroORM changes this object when it reads the row again.
        this.add(entity, { ...row });
      }
    }
  }

  /** Remembers an entity that is loaded for the first time, if its row may belong to this transaction. */
  meet(entity: AnyEntity): void {
    if (this.#expectsStrangers && rowOf(entity) === undefined) {
      this.add(entity, undefined);
    }
  }

  /** Takes over the rows of a released savepoint. */
  take(inner: TransactionUndo): void {
    for (const [entity, written] of inner.#written) {
      if (!this.#written.has(entity)) {
        this.#written.set(entity, written);
      }
    }
    this.#expectsStrangers ||= inner.#expectsStrangers;
  }

  /** @param isClosing true where the session ends: its unflushed changes do not matter any more */
  undo(isClosing: boolean): void {
    const written = [...this.#written.values()];
    written.forEach((one) => one.restoreIdentity(this.#values));
    for (const one of written) {
      if (this.#options.extent === 'flush') {
        one.restoreFlushed();
      } else if (one.row !== undefined) {
        one.restoreValues(this.#values, this.#unflushed.get(one.entity)?.values ?? one.row);
      }
    }
    if (!isClosing) {
      this.#restoreStacks();
      this.#dropUnflushed();
    }
    // Hydration changes the remembered rows of the entities that it meets.
    written.forEach((one) => one.restoreRow());
  }

  /** Leaves exactly those new entities to flush that waited when the transaction began. */
  #restoreStacks(): void {
    const unitOfWork = this.#options.em.getUnitOfWork(false);
    const known = new Set(this.#persisted);
    for (const entity of unitOfWork.getPersistStack()) {
      if (!known.has(entity) && rowOf(entity) === undefined) {
        unitOfWork.getIdentityMap().delete(entity);
      }
    }
    if (this.#options.extent === 'flush') {
      // MikroORM forgets entities that it could not insert, since the next flush would fail likewise.
      this.#persisted
        .filter((entity) => rowOf(entity) === undefined)
        .forEach((entity) => unitOfWork.getIdentityMap().delete(entity));
      return;
    }
    // Seam: mikro-orm/unit-of-work
    refill(unitOfWork.getPersistStack(), []);
    refill(unitOfWork.getRemoveStack(), this.#removed);
    refill(unitOfWork.getOrphanRemoveStack(), this.#orphans);
    this.#persisted.forEach((entity) => unitOfWork.persist(entity, undefined, { cascade: false }));
  }

  #findUnflushed(): Map<AnyEntity, Unflushed> {
    const found = new Map<AnyEntity, Unflushed>();
    for (const entity of this.#options.em.getUnitOfWork(false).getIdentityMap()) {
      const row = rowOf(entity);
      if (row === undefined) {
        continue;
      }
      const dirty = Array.from(collectionsOf(entity)).filter((collection) => collection.isDirty());
      if (dirty.length > 0 || !this.#values.holds(entity, row)) {
        const collections = new Map(dirty.map((collection) => [collection, new CollectionState(collection)]));
        found.set(entity, { values: this.#values.read(entity), collections });
      }
    }
    return found;
  }

  #dropUnflushed(): void {
    if (this.#options.extent === 'flush') {
      return;
    }
    for (const entity of this.#options.em.getUnitOfWork(false).getIdentityMap().values()) {
      const row = rowOf(entity);
      if (row === undefined) {
        continue;
      }
      const before = this.#unflushed.get(entity);
      const values = before?.values ?? row;
      if (!this.#values.holds(entity, values)) {
        this.#values.write(entity, values);
      }
      for (const collection of collectionsOf(entity)) {
        const state = before?.collections.get(collection);
        if (state !== undefined) {
          state.restore();
        } else if (collection.isDirty()) {
          dropUnflushed(collection);
        }
      }
    }
  }
}

function refill<Item>(set: Set<Item>, items: readonly Item[]): void {
  set.clear();
  items.forEach((item) => set.add(item));
}
