import type { EntityManager } from '@mikro-orm/core';

import type { LiveScope } from '../scope/live-scope.js';
import type { TransactionFrame } from '../transaction/transaction-frames.js';

/** The scopes and transactions that cannot end before this wait does. */
type Surrounding = EntityManager | Pick<LiveScope, 'label'>;

/**
 * Counts the waits for a connection in each scope and each transaction, so that a check does not need to go through all
 * waits.
 */
export class ConnectionWaits {
  readonly #counts = new Map<Surrounding, number>();

  /** Adds a wait. Returns a function that removes it. */
  add(scope: LiveScope | undefined, frame: TransactionFrame | undefined): () => void {
    const around = [...scopesAround(scope), ...managersAround(frame)];
    around.forEach((one) => this.#change(one, 1));
    return () => around.forEach((one) => this.#change(one, -1));
  }

  /** Whether code in this scope or transaction waits, or code that was started in it. */
  has(surrounding: Surrounding): boolean {
    return this.#counts.has(surrounding);
  }

  #change(surrounding: Surrounding, by: 1 | -1): void {
    const count = (this.#counts.get(surrounding) ?? 0) + by;
    if (count === 0) {
      this.#counts.delete(surrounding);
    } else {
      this.#counts.set(surrounding, count);
    }
  }
}

function* scopesAround(scope: LiveScope | undefined): Iterable<LiveScope> {
  for (let around = scope; around !== undefined; around = around.startedIn) {
    yield around;
  }
}

function* managersAround(frame: TransactionFrame | undefined): Iterable<EntityManager> {
  for (let around = frame; around !== undefined; around = around.outer) {
    yield around.em;
  }
}
