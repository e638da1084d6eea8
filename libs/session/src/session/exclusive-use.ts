import type { EntityManager } from '@mikro-orm/core';

import type { SessionRecord } from './session-record.js';
import { ConcurrentSessionUseError } from './session-error.js';

export type ExclusiveOperation = 'flush' | 'commit' | 'rollback' | 'begin' | 'transactional';

interface Use {
  readonly operation: ExclusiveOperation;
  /** Made for who waits for the end. */
  settled: PromiseWithResolvers<void> | undefined;
  /** True while the call that began it has not returned yet. The flush that a commit() begins with is called then. */
  isStarting: boolean;
}

/** Lets one operation at a time change the state of an EntityManager. */
export class ExclusiveUse {
  readonly #uses = new Map<EntityManager, Use>();

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
    const use: Use = { operation, settled: undefined, isStarting: true };
    this.#uses.set(em, use);
    try {
      const result = work();
      use.isStarting = false;
      return await result;
    } finally {
      this.#uses.delete(em);
      use.settled?.resolve();
    }
  }

  /** Gives the end of the flush that runs on an EntityManager, if one does. */
  flushOf(em: EntityManager): Promise<unknown> | undefined {
    const use = this.#uses.get(em);
    if (use?.operation !== 'flush' && use?.operation !== 'commit') {
      return undefined;
    }
    use.settled ??= Promise.withResolvers();
    return use.settled.promise;
  }
}
