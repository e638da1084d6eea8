import { AsyncLocalStorage } from 'node:async_hooks';

import type { EntityManager } from '@mikro-orm/core';

import type { LiveScope } from '../scope/live-scope.js';

export interface TransactionFrame {
  /** The EntityManager of the transaction, or while there is none the one it is made for. */
  readonly em: EntityManager;
  readonly outer: TransactionFrame | undefined;
  /** Of an EntityManager that belongs to no session: the scope it runs in, whose session stands for it. */
  readonly within: LiveScope | undefined;
  /** A flush: what runs in it, such as a subscriber, is no part of a block. */
  readonly isFlush: boolean;
}

export interface BlockFrame extends TransactionFrame {
  em: EntityManager;
  within: LiveScope | undefined;
}

/**
 * Knows in which `transactional()` calls and flushes the running code is, the hooks of their end included. MikroORM's own
 * TransactionContext knows the innermost alone: within a transaction of another session, connection or application it
 * forgets the one around it.
 */
export class TransactionFrames {
  readonly #storage = new AsyncLocalStorage<TransactionFrame>();

  /** @param sessionOf finds the session that an EntityManager belongs to */
  constructor(private readonly sessionOf: (em: EntityManager) => object | undefined) {}

  /** Runs a `transactional()` call, which tells its frame of the EntityManager that MikroORM makes for it. */
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

  /** Returns the innermost transaction of one session. What outlives it finds it ended, and writes nothing outside of it. */
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
