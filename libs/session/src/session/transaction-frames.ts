import { AsyncLocalStorage } from 'node:async_hooks';

import type { EntityManager } from '@mikro-orm/core';

import { RECORD, type Recorded } from './recorded.js';
import type { SessionRecord } from './session-record.js';

interface Frame {
  readonly em: EntityManager & Recorded;
  readonly outer: Frame | undefined;
}

/**
 * Knows in which transaction callbacks the running code is. MikroORM's own TransactionContext knows the innermost alone:
 * within a transaction of another session, connection or application it forgets the one around it.
 */
export class TransactionFrames {
  readonly #storage = new AsyncLocalStorage<Frame>();

  run<Result>(em: EntityManager, work: () => Result): Result {
    return this.#storage.run({ em, outer: this.#storage.getStore() }, work);
  }

  /** Gives the innermost transaction of one session. */
  innermost(record: SessionRecord): EntityManager | undefined {
    let frame = this.#storage.getStore();
    while (frame !== undefined && frame.em[RECORD] !== record) {
      frame = frame.outer;
    }
    return frame?.em;
  }
}
