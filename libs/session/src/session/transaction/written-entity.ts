import { type AnyEntity, type EntityManager, helper } from '@mikro-orm/core';

import { collectionsOf, CollectionState } from './collection-state.js';
import type { EntityValues, Values } from './entity-values.js';

const NO_COLLECTIONS: readonly CollectionState[] = [];

/** An entity whose row a transaction writes, with its state before. */
export class WrittenEntity {
  readonly #em: EntityManager | undefined;
  readonly #isInitialized: boolean;
  readonly #hadKey: boolean;
  readonly #version: unknown;
  readonly #collections: readonly CollectionState[];
  readonly #managers: readonly EntityManager[];

  /**
   * @param row the row that MikroORM remembered for the entity; undefined for a new entity
   * @param managers the EntityManager of the transaction and those around it
   */
  constructor(
    readonly entity: AnyEntity,
    readonly row: Values | undefined,
    managers: readonly EntityManager[],
  ) {
    const wrapped = helper(entity);
    this.#em = wrapped.__em;
    this.#isInitialized = wrapped.__initialized;
    this.#hadKey = row !== undefined || wrapped.hasPrimaryKey();
    const { versionProperty, relations } = wrapped.__meta;
    this.#version = versionProperty && (entity as Record<string, unknown>)[versionProperty];
    this.#collections =
      relations.length === 0 ? NO_COLLECTIONS : Array.from(collectionsOf(entity), (one) => new CollectionState(one));
    this.#managers = row === undefined ? managers : managers.filter((em) => mapOf(em).getByEntity(entity) === entity);
  }

  /**
   * Restores whether MikroORM takes the entity for a row. An entity that is new again must count as new, or a later
   * persist, in this session or another, would not insert it.
   */
  restoreIdentity(values: EntityValues): void {
    const { entity, row } = this;
    const wrapped = helper(entity);
    for (const em of new Set([...this.#managers, wrapped.__em])) {
      em?.getUnitOfWork(false).getIdentityMap().delete(entity);
    }
    // Seam: mikro-orm/wrapped-entity
    wrapped.__managed = row !== undefined;
    Object.assign(wrapped, { __em: this.#em });
    this.restoreRow();
    if (row === undefined) {
      this.#forgetKey();
      // If the entity is persisted again, the items of its collections must be inserted with it.
      this.#collections.forEach((collection) => collection.restore());
      return;
    }
    values.writeKey(entity, row);
    this.#managers.forEach((em) => mapOf(em).store(entity));
  }

  restoreRow(): void {
    Object.assign(helper(this.entity), { __originalEntityData: this.row && { ...this.row } });
  }

  /** Undoes the other changes that the flush made in the entity. */
  restoreFlushed(): void {
    this.#restoreVersion();
    if (this.row !== undefined) {
      helper(this.entity).__initialized = this.#isInitialized;
      this.#collections.forEach((collection) => collection.restore());
    }
  }

  /** Undoes the changes of the entity since the transaction began. */
  restoreValues(values: EntityValues, before: Values): void {
    values.write(this.entity, before);
    this.#restoreVersion();
    helper(this.entity).__initialized = this.#isInitialized;
    this.#collections.forEach((collection) => collection.restoreRows());
  }

  #restoreVersion(): void {
    if (this.#versionName !== undefined) {
      (this.entity as Record<string, unknown>)[this.#versionName] = this.#version;
    }
  }

  get #versionName(): string | undefined {
    return helper(this.entity).__meta.versionProperty;
  }

  /** Removes the key that the database had generated: the row does not exist. */
  #forgetKey(): void {
    const { __meta: meta } = helper(this.entity);
    const [key] = meta.getPrimaryProps();
    if (!this.#hadKey && !meta.compositePK && key?.autoincrement === true) {
      delete (this.entity as Record<string, unknown>)[key.name];
    }
  }
}

function mapOf(em: EntityManager): ReturnType<ReturnType<EntityManager['getUnitOfWork']>['getIdentityMap']> {
  return em.getUnitOfWork(false).getIdentityMap();
}
