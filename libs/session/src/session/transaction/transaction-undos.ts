import type { EntityManager } from '@mikro-orm/core';

import type { TransactionOutcome } from './session-callbacks.js';
import { TransactionUndo } from './transaction-undo.js';

/** The property by which the fork of a session knows the EntityManager it is a fork of. */
export const PARENT = Symbol('parent');

type Fork = EntityManager & { [PARENT]?: EntityManager };

/** Knows what to undo of the open transactions of one session. */
export class TransactionUndos {
  readonly #undos = new Map<EntityManager, TransactionUndo>();

  of(em: EntityManager): TransactionUndo | undefined {
    return this.#undos.get(em);
  }

  /** Begins to take note of a transaction that `em` has begun for itself. */
  begin(em: EntityManager): void {
    this.#undos.set(em, new TransactionUndo({ em, managers: lineOf(em), extent: 'all' }));
  }

  /** Begins to take note of a flush that makes a transaction for itself, or of statements on their own. */
  beginFlush(em: EntityManager): void {
    this.#undos.set(em, new TransactionUndo({ em, managers: lineOf(em), extent: 'flush' }));
  }

  /** What a block on a fork of `em` would undo. It counts from `enter` on. */
  prepare(em: EntityManager): (fork: EntityManager) => void {
    const managers = lineOf(em);
    const undo = new TransactionUndo({ em, managers, extent: 'all' });
    return (fork) => {
      undo.join(fork);
      this.#undos.set(fork, undo);
    };
  }

  /** Leaves the rows of a savepoint to the transaction around it. */
  release(savepoint: EntityManager, around: EntityManager): void {
    const inner = this.#undos.get(savepoint);
    this.#undos.delete(savepoint);
    if (inner !== undefined) {
      this.#undos.get(around)?.take(inner);
    }
  }

  settle(em: EntityManager, end: TransactionOutcome, isClosing: boolean): void {
    const undo = this.#undos.get(em);
    this.#undos.delete(em);
    if (end === 'rollback') {
      undo?.undo(isClosing);
    }
  }
}

/** An EntityManager and those it is a fork of. */
function lineOf(em: Fork): EntityManager[] {
  const line: EntityManager[] = [];
  for (let one: Fork | undefined = em; one !== undefined; one = one[PARENT]) {
    line.push(one);
  }
  return line;
}
