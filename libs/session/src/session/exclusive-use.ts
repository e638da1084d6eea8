import type { EntityManager } from '@mikro-orm/core';

import type { SessionRecord } from './session-record.js';
import { ConcurrentSessionUseError } from './session-error.js';

export type ExclusiveOperation = 'flush' | 'commit' | 'rollback' | 'begin' | 'transactional';

interface Use {
  readonly operation: ExclusiveOperation;
  readonly settled: Promise<unknown>;
  /** True while the call that began it has not returned yet. The flush that a commit() begins with is called then. */
  isStarting: boolean;
}

/** Lets one operation at a time change the state of an EntityManager. */
export class ExclusiveUse {
  readonly #uses = new WeakMap<EntityManager, Use>();

  constructor(private readonly record: SessionRecord) {}

  /**
   * @throws {ConcurrentSessionUseError} while another operation runs, before `work` begins
   */
  async run<Result>(em: EntityManager, operation: ExclusiveOperation, work: () => Promise<Result>): Promise<Result> {
    const running = this.#uses.get(em);
    if (running?.isStarting === true && running.operation === 'commit' && operation === 'flush') {
      return work();
    }
    if (running !== undefined) {
      throw new ConcurrentSessionUseError(this.record.scope.label, operation, running.operation);
    }
    const { promise: settled, resolve } = Promise.withResolvers<void>();
    const use: Use = { operation, settled, isStarting: true };
    this.#uses.set(em, use);
    try {
      const result = work();
      use.isStarting = false;
      return await result;
    } finally {
      this.#uses.delete(em);
      resolve();
    }
  }

  /** Gives the end of the flush that runs on an EntityManager, if one does. */
  flushOf(em: EntityManager): Promise<unknown> | undefined {
    const use = this.#uses.get(em);
    return use?.operation === 'flush' || use?.operation === 'commit' ? use.settled : undefined;
  }
}
