import type { EntityManager } from '@mikro-orm/core';

import { reportEndFailure } from '../scope/report-end-failure.js';
import type { LiveScope, ScopeOptions } from '../scope/live-scope.js';

export type TransactionEnd = 'commit' | 'rollback';
/** `unknown` where the connection was lost during the commit. */
export type TransactionOutcome = TransactionEnd | 'unknown';

export type Callback = () => void | Promise<void>;

interface Hook {
  readonly on: TransactionEnd;
  readonly callback: Callback;
}

/** Runs work in a scope and task of its own. */
export type RunDetached = (about: Pick<ScopeOptions, 'label' | 'info' | 'origin'>, work: Callback) => Promise<void>;

/**
 * Keeps the callbacks of a session: until the outermost transaction they were registered in has ended, or the session.
 * Those of a savepoint move to the transaction around it when it is released, and end with it when it is rolled back.
 */
export class SessionCallbacks {
  readonly #hooks = new Map<EntityManager, Hook[]>();
  readonly #onClose: Callback[] = [];

  constructor(
    private readonly scope: LiveScope,
    private readonly runDetached: RunDetached,
  ) {}

  add(em: EntityManager, on: TransactionEnd, callback: Callback): void {
    const hooks = this.#hooks.get(em) ?? [];
    hooks.push({ on, callback });
    this.#hooks.set(em, hooks);
  }

  addOnClose(callback: Callback): void {
    this.#onClose.push(callback);
  }

  move(from: EntityManager, to: EntityManager): void {
    for (const { on, callback } of this.#hooks.get(from) ?? []) {
      this.add(to, on, callback);
    }
    this.#hooks.delete(from);
  }

  /** Runs the callbacks for how the transaction of an EntityManager ended, and forgets the others. */
  async settle(em: EntityManager, end: TransactionOutcome): Promise<void> {
    const hooks = this.#hooks.get(em) ?? [];
    this.#hooks.delete(em);
    const callbacks = hooks.filter(({ on }) => on === end).map(({ callback }) => callback);
    await this.#runAll(callbacks, end === 'commit' ? 'afterCommit' : 'afterRollback');
  }

  async close(): Promise<void> {
    await this.#runAll(this.#onClose, 'onClose');
  }

  /** Runs callbacks in scopes of their own. One that throws is reported, and stops neither the next nor the caller. */
  async #runAll(callbacks: readonly Callback[], label: string): Promise<void> {
    for (const callback of callbacks) {
      const about = {
        label: `${label} of ${this.scope.label}`,
        info: this.scope.portableInfo,
        origin: this.scope.info,
      };
      await this.runDetached(about, callback).catch((error: unknown) => reportEndFailure(this.scope, error));
    }
  }
}
