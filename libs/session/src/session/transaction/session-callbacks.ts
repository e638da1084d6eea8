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
 * Keeps the callbacks of a session until the outermost transaction in which they were registered ends, or the session
 * ends. The callbacks of a savepoint move to the transaction around it when the savepoint is released.
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

  /** Runs the callbacks that fit the end of the transaction of an EntityManager, and drops the others. */
  async settle(em: EntityManager, end: TransactionOutcome): Promise<void> {
    const hooks = this.#hooks.get(em) ?? [];
    this.#hooks.delete(em);
    const callbacks = hooks.filter(({ on }) => on === end).map(({ callback }) => callback);
    await this.#runAll(callbacks, end === 'commit' ? 'afterCommit' : 'afterRollback');
  }

  async close(): Promise<void> {
    await this.#runAll(this.#onClose, 'onClose');
  }

  /** Runs callbacks in scopes of their own. An error of one is logged, and stops neither the next nor the caller. */
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
