import type { Connection, EntityManager } from '@mikro-orm/core';

import type { Owner } from './owner.js';

/** The members of MikroORM's query builder that are used here. */
export interface BuilderLike {
  em?: EntityManager;
  getConnection(): Connection;
  getNativeQuery(...args: unknown[]): unknown;
  clone(...args: unknown[]): BuilderLike;
}

interface Binding {
  /**
   * The session that handed out the builder, or a fork of that session. Never an EntityManager that only answers with
   * the session.
   */
  readonly em: EntityManager;
  readonly owner: Owner;
  readonly checkConnection: (connection: Connection) => Connection;
}

/** Makes a query builder, and all copies of it, check when they are executed that the session may be used. */
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
