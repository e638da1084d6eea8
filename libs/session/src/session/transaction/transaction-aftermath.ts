import type { EntityManager } from '@mikro-orm/core';

import { SessionCallbacks, type TransactionOutcome } from './session-callbacks.js';
import { TransactionUndos } from './transaction-undos.js';

/** What is to be done when a transaction of a session ends: rows to undo in its entities, and callbacks. */
export class TransactionAftermath {
  readonly undos = new TransactionUndos();
  #callbacks: SessionCallbacks | undefined;

  constructor(
    private readonly isClosing: () => boolean,
    private readonly createCallbacks: () => SessionCallbacks,
  ) {}

  get callbacks(): SessionCallbacks {
    return (this.#callbacks ??= this.createCallbacks());
  }

  /** Takes note of how the transaction of an EntityManager ended, and runs the callbacks that wait for that. */
  async settle(em: EntityManager, end: TransactionOutcome): Promise<void> {
    this.settleRows(em, end);
    await this.settleCallbacks(em, end);
  }

  settleRows(em: EntityManager, end: TransactionOutcome): void {
    this.undos.settle(em, end, this.isClosing());
  }

  async settleCallbacks(em: EntityManager, end: TransactionOutcome): Promise<void> {
    await this.#callbacks?.settle(em, end);
  }

  /** Leaves all to the transaction around a savepoint. */
  release(savepoint: EntityManager, around: EntityManager): void {
    if (savepoint !== around) {
      this.undos.release(savepoint, around);
      this.#callbacks?.move(savepoint, around);
    }
  }

  async close(): Promise<void> {
    await this.#callbacks?.close();
  }
}
