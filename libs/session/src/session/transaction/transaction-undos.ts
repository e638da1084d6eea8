import type { EntityManager } from '@mikro-orm/core';

import type { TransactionOutcome } from './session-callbacks.js';
import { TransactionUndo } from './transaction-undo.js';

/** The property of a fork of a session that holds the EntityManager which was forked. */
export const PARENT = Symbol('parent');

type Fork = EntityManager & { [PARENT]?: EntityManager };

/** Keeps what a rollback has to undo in each open transaction of one session. */
export class TransactionUndos {
  readonly #undos = new Map<EntityManager, TransactionUndo>();

  of(em: EntityManager): TransactionUndo | undefined {
    return this.#undos.get(em);
  }

  /** Begins to record a transaction that `em` has begun. */
  begin(em: EntityManager): void {
    this.#undos.set(em, new TransactionUndo({ em, managers: lineOf(em), extent: 'all' }));
  }

  /** Begins to record a flush with its own transaction, or statements without a transaction. */
  beginFlush(em: EntityManager): void {
    this.#undos.set(em, new TransactionUndo({ em, managers: lineOf(em), extent: 'flush' }));
  }

  /** Prepares the record of a block on a fork of `em`. It begins when the returned function is called. */
  prepare(em: EntityManager): (fork: EntityManager) => void {
    const managers = lineOf(em);
    const undo = new TransactionUndo({ em, managers, extent: 'all' });
    return (fork) => {
      undo.join(fork);
      this.#undos.set(fork, undo);
    };
  }

  /** Moves the rows of a released savepoint to the transaction around it. */
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

/** An EntityManager, and the EntityManagers from which it was forked. */
function lineOf(em: Fork): EntityManager[] {
  const line: EntityManager[] = [];
  for (let one: Fork | undefined = em; one !== undefined; one = one[PARENT]) {
    line.push(one);
  }
  return line;
}
