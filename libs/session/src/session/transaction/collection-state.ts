import { type AnyEntity, type Collection, type EntityKey, helper, Utils } from '@mikro-orm/core';

export type AnyCollection = Collection<object, AnyEntity>;

/** The items of a collection, and those of them that MikroORM takes for rows. */
export class CollectionState {
  readonly #items: readonly object[];
  readonly #rows: readonly object[];

  constructor(readonly collection: AnyCollection) {
    this.#items = collection.getItems(false);
    this.#rows = collection.getSnapshot() ?? [];
  }

  restore(): void {
    this.restoreRows();
    setItems(this.collection, this.#items);
    this.collection.setDirty(!isSame(this.#items, this.#rows));
  }

  /** Restores the items that MikroORM takes for rows, and drops the others. */
  restoreRows(): void {
    if (!isSame(this.#rows, this.collection.getSnapshot() ?? [])) {
      // Seam: mikro-orm/collection
      setItems(this.collection, this.#rows);
      this.collection.takeSnapshot();
    }
    dropUnflushed(this.collection);
  }
}

/** Reduces a collection to the items that MikroORM takes for rows. */
export function dropUnflushed(collection: AnyCollection): void {
  setItems(collection, collection.getSnapshot() ?? []);
  collection.setDirty(false);
}

/** The collections of an entity, in the order of its relations. */
export function* collectionsOf(entity: AnyEntity): Iterable<AnyCollection> {
  for (const { name } of helper(entity).__meta.relations) {
    const value: unknown = entity[name as EntityKey];
    if (Utils.isCollection(value)) {
      yield value;
    }
  }
}

function setItems(collection: AnyCollection, items: readonly object[]): void {
  if (isSame(items, collection.getItems(false))) {
    return;
  }
  for (const item of collection.getItems(false)) {
    collection.removeWithoutPropagation(item);
  }
  for (const item of items) {
    collection.addWithoutPropagation(item);
  }
}

function isSame(one: readonly object[], other: readonly object[]): boolean {
  return one.length === other.length && one.every((item, place) => item === other[place]);
}
