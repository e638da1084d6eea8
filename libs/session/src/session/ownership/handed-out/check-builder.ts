import type { Connection, EntityManager } from '@mikro-orm/core';

import type { Owner } from './owner.js';

/** The little of a query builder of MikroORM that is needed here. */
export interface BuilderLike {
  em?: EntityManager;
  getConnection(): Connection;
  getNativeQuery(...args: unknown[]): unknown;
  clone(...args: unknown[]): BuilderLike;
}

interface Binding {
  /** The session that handed it out, or a fork of that, also where it was asked of one that answers with the session. */
  readonly em: EntityManager;
  readonly owner: Owner;
  readonly checkConnection: (connection: Connection) => Connection;
}

/** Makes a query builder, and all copies of it, ask when it is executed whether its session may be used. */
export function checkBuilder(builder: BuilderLike, binding: Binding): BuilderLike {
  const { em, owner, checkConnection } = binding;
  // Seam: mikro-orm/query-builder
  const getConnection = builder.getConnection.bind(builder);
  const getNativeQuery = builder.getNativeQuery.bind(builder);
  const clone = builder.clone.bind(builder);
  builder.em = em;
  Object.defineProperties(builder, {
    getConnection: { value: () => checkConnection(getConnection()) },
    getNativeQuery: { value: (...args: unknown[]) => owner.compile(() => getNativeQuery(...args)) },
    clone: { value: (...args: unknown[]) => checkBuilder(clone(...args), binding) },
  });
  return builder;
}
