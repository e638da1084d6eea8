import { AsyncLocalStorage } from 'node:async_hooks';

import type { EntityManager } from '@mikro-orm/core';

import { RECORD, type Recorded } from './recorded.js';
import type { SessionRecord } from './session-record.js';

export interface TransactionFrame {
  readonly em: EntityManager & Recorded;
  readonly outer: TransactionFrame | undefined;
  /** A flush that made the transaction for itself: what runs in it, such as a subscriber, is no part of a block. */
  readonly isFlush: boolean;
}

/**
 * Knows in which transaction callbacks the running code is. MikroORM's own TransactionContext knows the innermost alone:
 * within a transaction of another session, connection or application it forgets the one around it.
 */
export class TransactionFrames {
  readonly #storage = new AsyncLocalStorage<TransactionFrame>();

  run<Result>(em: EntityManager, work: () => Result): Result {
    return this.#storage.run({ em, outer: this.current, isFlush: false }, work);
  }

  runFlush<Result>(em: EntityManager, work: () => Result): Result {
    return this.#storage.run({ em, outer: this.current, isFlush: true }, work);
  }

  get current(): TransactionFrame | undefined {
    return this.#storage.getStore();
  }

  /** Gives the innermost transaction of one session. */
  innermost(record: SessionRecord): EntityManager | undefined {
    let frame = this.current;
    while (frame !== undefined && (frame.isFlush || frame.em[RECORD] !== record)) {
      frame = frame.outer;
    }
    return frame?.em;
  }
}
