import { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable } from '@nestjs/common';
import {
  getJobServiceToken,
  getSessionFactoryToken,
  type JobOutcome,
  JobService,
  SessionError,
  SessionFactory,
} from 'nestjs-mikro-session';

import { OverloadedException } from '../errors/overloaded.exception.js';
import { Run } from '../runs/run.entity.js';
import { SMALL_POOL, SMALL_POOL_SIZE } from './small-pool.js';

/** Milliseconds that a misuse may take. All of them are faster. */
const TIMEOUT_MS = 2_000;

const RETRY_AFTER_S = 1;

/** Misuses sessions on purpose, and returns the error of the library. One misuse at a time. */
@Injectable()
export class Misuses {
  #isBusy = false;

  constructor(
    private readonly jobs: JobService,
    private readonly sessions: SessionFactory,
    @Inject(getJobServiceToken(SMALL_POOL)) private readonly smallJobs: JobService,
    @Inject(getSessionFactoryToken(SMALL_POOL)) private readonly smallSessions: SessionFactory,
  ) {}

  /** One job passes its session to another job, which uses it. */
  shareSession(): Promise<SessionError> {
    return this.#commit(async () => {
      const lent = Promise.withResolvers<EntityManager>();
      const returned = Promise.withResolvers<void>();
      const outcomes = await this.jobs.settle(
        ['lender', 'borrower'],
        async (session, role) => {
          if (role === 'lender') {
            lent.resolve(session);
            await returned.promise;
            return;
          }
          const borrowed = await lent.promise;
          await borrowed.count(Run).finally(returned.resolve);
        },
        { label: 'a job that shares', concurrency: 2, timeout: TIMEOUT_MS },
      );
      throwFirst(outcomes);
    });
  }

  /** A session is used after the end of its block. */
  useAfterEnd(): Promise<SessionError> {
    return this.#commit(async () => {
      const kept = await this.sessions.run((session) => session, { label: 'a block that has ended' });
      await kept.count(Run);
    });
  }

  /** Jobs take all connections of a small pool, and each waits for one more. */
  fillPool(): Promise<SessionError> {
    return this.#commit(async () => {
      let free = SMALL_POOL_SIZE;
      const full = Promise.withResolvers<void>();
      const outcomes = await this.smallJobs.settle(
        Array.from({ length: SMALL_POOL_SIZE }, (_, nth) => nth),
        async (session) => {
          await session.execute('select 1');
          free -= 1;
          if (free === 0) {
            full.resolve();
          }
          await full.promise;
          await this.smallSessions.begin((inner) => inner.execute('select 1'), { label: 'one more session' });
        },
        { label: 'a job with a connection', concurrency: SMALL_POOL_SIZE, timeout: TIMEOUT_MS },
      );
      throwFirst(outcomes);
    });
  }

  async #commit(misuse: () => Promise<void>): Promise<SessionError> {
    if (this.#isBusy) {
      throw new OverloadedException('Another misuse is being committed. Try again.', RETRY_AFTER_S);
    }
    this.#isBusy = true;
    try {
      await misuse();
    } catch (error) {
      if (error instanceof SessionError) {
        return error;
      }
      throw error;
    } finally {
      this.#isBusy = false;
    }
    throw new Error('The misuse was not refused.');
  }
}

function throwFirst(outcomes: readonly JobOutcome<unknown, void>[]): void {
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') {
      throw outcome.reason;
    }
  }
}
