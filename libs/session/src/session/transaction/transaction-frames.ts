import { AsyncLocalStorage } from 'node:async_hooks';

import type { EntityManager } from '@mikro-orm/core';

import type { LiveScope } from '../scope/live-scope.js';

export interface TransactionFrame {
  /** The EntityManager of the transaction. Before the transaction begins, the one that it is made for. */
  readonly em: EntityManager;
  readonly outer: TransactionFrame | undefined;
  /** For an EntityManager without a session: the scope in which it runs. The session of that scope stands for it. */
  readonly within: LiveScope | undefined;
  /** Whether the frame is a flush. Code in a flush, such as a subscriber, is not part of a block. */
  readonly isFlush: boolean;
}

export interface BlockFrame extends TransactionFrame {
  em: EntityManager;
  within: LiveScope | undefined;
}

/**
 * Keeps the `transactional()` calls and flushes that the running code is in, also during the hooks at their end.
 * MikroORM's own TransactionContext keeps only the innermost one: inside a transaction of another session, connection
 * or application, it forgets the outer one.
 */
export class TransactionFrames {
  readonly #storage = new AsyncLocalStorage<TransactionFrame>();

  /** @param sessionOf finds the session that an EntityManager belongs to */
  constructor(private readonly sessionOf: (em: EntityManager) => object | undefined) {}

  /** Runs a `transactional()` call. `work` sets the EntityManager that MikroORM makes for the call on the frame. */
  run<Result>(em: EntityManager, work: (frame: BlockFrame) => Result): Result {
    const frame: BlockFrame = { em, outer: this.current, within: undefined, isFlush: false };
    return this.#storage.run(frame, work, frame);
  }

  runFlush<Result>(em: EntityManager, work: () => Result): Result {
    return this.#storage.run({ em, outer: this.current, within: undefined, isFlush: true }, work);
  }

  get current(): TransactionFrame | undefined {
    return this.#storage.getStore();
  }

  /** Whether the running code is part of a flush of an EntityManager, as a subscriber is. */
  isInFlushOf(em: EntityManager): boolean {
    let frame = this.current;
    while (frame !== undefined && !(frame.isFlush && frame.em === em)) {
      frame = frame.outer;
    }
    return frame !== undefined;
  }

  /**
   * Returns the innermost transaction of one session. Code that outlives the transaction still gets it, finds it ended,
   * and so writes nothing outside of it.
   */
  innermost(session: { readonly scope: LiveScope }): EntityManager | undefined {
    let frame = this.current;
    while (
      frame !== undefined &&
      (frame.isFlush || (this.sessionOf(frame.em) !== session && frame.within !== session.scope))
    ) {
      frame = frame.outer;
    }
    return frame?.em;
  }
}
