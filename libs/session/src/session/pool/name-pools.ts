import type { MikroORM } from '@mikro-orm/core';

import type { PoolFacts } from './pool-facts.js';

/** A connection of MikroORM with its pools. */
export interface PooledSource {
  readonly orm: MikroORM;
  readonly connections: { readonly poolFacts: readonly PoolFacts[] };
}

/** A pool with the name by which people know it: that of its connection, with a number from the second pool on. */
export interface NamedPool {
  readonly name: string;
  readonly facts: PoolFacts;
}

/** Returns the pools of all connections as they are now. */
export function namePools(sources: readonly PooledSource[]): NamedPool[] {
  return sources.flatMap(({ orm, connections }) =>
    connections.poolFacts.map((facts, index) => ({
      name: index === 0 ? orm.em.name : `${orm.em.name} ${index + 1}`,
      facts,
    })),
  );
}
