import type { EntityManager } from '@mikro-orm/core';

export type TransactionEnd = 'commit' | 'rollback';
export type Callback = () => void | Promise<void>;

interface Hook {
  readonly on: TransactionEnd;
  readonly callback: Callback;
}

/**
 * Keeps callbacks until the outermost transaction they were registered in has ended. Those of a savepoint move to the
 * transaction around it when it is released, and end with it when it is rolled back.
 */
export class TransactionHooks {
  readonly #hooks = new Map<EntityManager, Hook[]>();

  add(em: EntityManager, on: TransactionEnd, callback: Callback): void {
    const hooks = this.#hooks.get(em) ?? [];
    hooks.push({ on, callback });
    this.#hooks.set(em, hooks);
  }

  move(from: EntityManager, to: EntityManager): void {
    if (from === to) {
      return;
    }
    for (const { on, callback } of this.#hooks.get(from) ?? []) {
      this.add(to, on, callback);
    }
    this.#hooks.delete(from);
  }

  /** Takes the callbacks for how the transaction of an EntityManager ended, and forgets the others. */
  take(em: EntityManager, end: TransactionEnd): Callback[] {
    const hooks = this.#hooks.get(em) ?? [];
    this.#hooks.delete(em);
    return hooks.filter(({ on }) => on === end).map(({ callback }) => callback);
  }
}
