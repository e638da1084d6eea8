import type { EntityManager } from '@mikro-orm/core';

import { ConcurrentSessionUseError, type SessionError } from '../session-error.js';

export type ExclusiveOperation = 'flush' | 'commit' | 'rollback' | 'begin' | 'transactional';

/** ES2022 has no name for the type of Promise.withResolvers(), and an application may be type-checked with ES2022. */
interface Settlement {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

export interface Use {
  readonly operation: ExclusiveOperation;
  /** Created by flushOf(), resolved by leave(). */
  settled: Settlement | undefined;
  /** True while the call that began the operation has not returned. A commit() calls its flush in that time. */
  isStarting: boolean;
}

const USE = Symbol('exclusive use');

type Used = EntityManager & { [USE]?: Use | undefined };

/** The session whose EntityManagers are used. */
interface User {
  readonly scope: { readonly label: string };
  /** Called for each refused call. */
  noteMisuse(error: SessionError): void;
}

/** Lets one operation at a time change the state of an EntityManager. */
export class ExclusiveUse {
  constructor(private readonly user: User) {}

  /**
   * Begins an operation. `leave` ends it. Returns undefined where the call is a part of the running operation.
   *
   * @throws {ConcurrentSessionUseError} while another operation runs
   */
  enter(em: Used, operation: ExclusiveOperation): Use | undefined {
    const running = em[USE];
    if (running?.isStarting === true && running.operation === 'commit' && operation === 'flush') {
      return undefined;
    }
    if (running !== undefined) {
      const error = new ConcurrentSessionUseError(this.user.scope.label, operation, running.operation);
      this.user.noteMisuse(error);
      throw error;
    }
    const use: Use = { operation, settled: undefined, isStarting: true };
    em[USE] = use;
    return use;
  }

  leave(em: Used, use: Use | undefined): void {
    if (use !== undefined) {
      em[USE] = undefined;
      use.settled?.resolve();
    }
  }

  /**
   * @throws {ConcurrentSessionUseError} while another operation runs, before `work` begins
   */
  async run<Result>(em: Used, operation: ExclusiveOperation, work: () => Promise<Result>): Promise<Result> {
    const use = this.enter(em, operation);
    try {
      const result = work();
      if (use !== undefined) {
        use.isStarting = false;
      }
      return await result;
    } finally {
      this.leave(em, use);
    }
  }

  /** Returns a promise for the end of the flush that runs on an EntityManager. Undefined where none runs. */
  flushOf(em: Used): Promise<unknown> | undefined {
    const use = em[USE];
    if (use?.operation !== 'flush' && use?.operation !== 'commit') {
      return undefined;
    }
    use.settled ??= Promise.withResolvers<void>();
    return use.settled.promise;
  }
}
