import { type AnyEntity, helper } from '@mikro-orm/core';

/** Names an entity by its class and, where it has one, its key. */
export function nameEntity(entity: AnyEntity): string {
  // Seam: mikro-orm/wrapped-entity
  const wrapped = helper(entity);
  const key = wrapped.hasPrimaryKey() ? ` ${wrapped.getSerializedPrimaryKey()}` : '';
  return `${wrapped.__meta.className}${key}`;
}
