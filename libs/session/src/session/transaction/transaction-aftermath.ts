import type { EntityManager } from '@mikro-orm/core';

import { SessionCallbacks, type TransactionOutcome } from './session-callbacks.js';
import { TransactionUndos } from './transaction-undos.js';

/** The work to do when a transaction of a session ends: undo its rows in the entities, and run callbacks. */
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

  /**
   * Undoes the rows if the transaction of an EntityManager was rolled back, and runs the callbacks that fit its end.
   */
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

  /** Moves the work of a released savepoint to the transaction around it. */
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
