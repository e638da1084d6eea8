import {
  type AnyEntity,
  type EntityData,
  type EntityManager,
  helper,
  JsonType,
  Reference,
  Utils,
} from '@mikro-orm/core';

/** The values of an entity in the form in which MikroORM compares them with its row. */
export type Values = EntityData<AnyEntity>;

type Fields = Record<string, unknown>;

/** The row that MikroORM remembers for an entity. Undefined for a new entity. */
export function rowOf(entity: AnyEntity): Values | undefined {
  // Seam: mikro-orm/wrapped-entity
  return helper(entity).__originalEntityData;
}

/** Reads and writes the values of entities as the flush and the hydration of MikroORM do. */
export class EntityValues {
  readonly #em: EntityManager;
  readonly #factory: ReturnType<EntityManager['getEntityFactory']>;

  constructor(em: EntityManager) {
    this.#em = em;
    // A closed session does not return its factory. It is needed after the end of the session too.
    this.#factory = em.getEntityFactory();
  }

  read(entity: AnyEntity): Values {
    // Seam: mikro-orm/entity-values
    return this.#em.getComparator().prepareEntity(entity) as Values;
  }

  /** Whether an entity holds `values`, and refers to no entity without a row, which a flush would insert. */
  holds(entity: AnyEntity, values: Values): boolean {
    return !Utils.hasObjectKeys(this.#diff(entity, values)) && !pointsToNew(entity);
  }

  /** Sets the values of an entity. A property without a value, such as a lazy one, counts as not loaded afterwards. */
  write(entity: AnyEntity, values: Values): void {
    const wrapped = helper(entity);
    const { properties, versionProperty, relations } = wrapped.__meta;
    const isPart = (name: string): boolean =>
      (properties as Record<string, { readonly embedded?: unknown }>)[name]?.embedded !== undefined;
    const changed = this.#diff(entity, values);
    const isEmbeddedChanged = Object.keys(changed).some(isPart);
    const isWanted = (name: string): boolean =>
      name in changed ||
      name === versionProperty ||
      (isEmbeddedChanged && isPart(name)) ||
      relations.some((relation) => relation.name === name);
    const data = Object.fromEntries(
      Object.entries(Utils.copy(values)).filter(([name, value]) => value !== undefined && isWanted(name)),
    );
    for (const name of Object.keys(changed)) {
      if (!(name in data)) {
        forget(entity, name);
      }
    }
    parseJson(entity, data);
    const row = wrapped.__originalEntityData && { ...wrapped.__originalEntityData };
    this.#em.getHydrator().hydrate(entity, wrapped.__meta, data as never, this.#factory, 'full', false, true);
    // Hydration records the relations that it sets as those of the row. This undoes that.
    Object.assign(wrapped, { __originalEntityData: row });
  }

  /** Sets the primary key of an entity to that of its row, under which identity maps find it. */
  writeKey(entity: AnyEntity, row: Values): void {
    const data = Utils.copy(row);
    this.#em.getHydrator().hydrateReference(entity, helper(entity).__meta, data as never, this.#factory, true);
  }

  #diff(entity: AnyEntity, values: Values): Fields {
    const { class: entityClass } = helper(entity).__meta;
    return this.#em.getComparator().diffEntities(entityClass as never, this.read(entity), values);
  }
}

/** The driver returns JSON as values, but MikroORM compares JSON as text. */
function parseJson(entity: AnyEntity, data: Fields): void {
  for (const { name, customType } of helper(entity).__meta.props) {
    const value = data[name];
    if (customType instanceof JsonType && typeof value === 'string') {
      data[name] = JSON.parse(value);
    }
  }
}

/** Drops a value as MikroORM does when the entity that a relation points to is removed. */
function forget(entity: AnyEntity, name: string): void {
  const wrapped = helper(entity);
  delete (entity as Fields)[name];
  delete wrapped.__data[name];
  wrapped.__loadedProperties.delete(name);
}

function pointsToNew(entity: AnyEntity): boolean {
  return helper(entity).__meta.relations.some(({ name }) => {
    const target: unknown = Reference.unwrapReference((entity as Fields)[name] as AnyEntity);
    return Utils.isEntity(target) && !helper(target as AnyEntity).__managed;
  });
}
