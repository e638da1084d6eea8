import type { EntityManager } from '@mikro-orm/core';
import { Logger } from '@nestjs/common';
import type { CommandResponse, JobAttempt, PgBoss } from 'pg-boss';

import type { SessionSource } from '../session/session-source.js';
import { inTransactionOf } from './open-transaction.js';
import { JobClaimLostError } from './queue-error.js';
import type { QueueJob } from './queue-job.js';

/** What pg-boss answers to a command, beyond its declaration. */
interface Settled extends CommandResponse {
  readonly affected: number;
  readonly settled?: readonly string[];
}

/** Ends the claims of this process on jobs of one queue, and only those: another attempt at a job is left alone. */
export class QueueClaims<Em extends EntityManager> {
  readonly #source: SessionSource<Em>;
  readonly #boss: PgBoss;
  readonly #queue: string;

  constructor(source: SessionSource<Em>, boss: PgBoss, queue: string) {
    this.#source = source;
    this.#boss = boss;
    this.#queue = queue;
  }

  /**
   * Completes jobs in the transaction of a session, so that it is committed with what their handler wrote.
   *
   * @throws {JobClaimLostError} when a job is not this worker's any more, which rolls the transaction back
   */
  async complete(session: Em, jobs: readonly QueueJob[], values: readonly unknown[]): Promise<void> {
    const db = inTransactionOf(session);
    const outputs = jobs.map((job, nth) => ({ job, value: values[nth] }));
    for (const group of Map.groupBy(outputs, ({ value }) => JSON.stringify(value)).values()) {
      const attempts = toAttempts(group.map(({ job }) => job));
      const { affected } = (await this.#boss.complete(this.#queue, attempts, group[0]?.value as object | null, {
        db,
      })) as Settled;
      if (affected < attempts.length) {
        throw new JobClaimLostError(
          this.#queue,
          attempts.map(({ id }) => id),
        );
      }
    }
  }

  /**
   * Gives jobs back to their queue at once, with nothing said against them. One whose place has been taken meanwhile, in a
   * queue with a policy, is left as it is.
   */
  async release(jobs: readonly QueueJob[]): Promise<void> {
    try {
      await this.#releaseTogether(jobs);
    } catch (error) {
      if (!isPlaceTaken(error)) {
        throw error;
      }
      const [job] = jobs;
      if (jobs.length === 1) {
        Logger.warn(`There is no room for job ${job?.id} in queue "${this.#queue}" again: it fails.`, 'JobQueueModule');
        return;
      }
      for (const one of jobs) {
        await this.release([one]);
      }
    }
  }

  async #releaseTogether(jobs: readonly QueueJob[]): Promise<void> {
    const label = `the release of ${jobs.length} jobs of queue "${this.#queue}"`;
    await this.#source.run(
      { kind: 'begin', label },
      async (session) => {
        const db = inTransactionOf(session);
        // pg-boss has no word for it: what is resumed waits as if it had not been fetched, and stays when nobody commits.
        const { settled = [] } = (await this.#boss.cancel(this.#queue, toAttempts(jobs), { db })) as Settled;
        const [first] = settled;
        if (first !== undefined) {
          await this.#boss.resume(this.#queue, [...settled], { db });
          // It changes nothing, but wakes the other processes, which resume() does not.
          await this.#boss.update({ name: this.#queue, options: { id: first, db } });
        }
      },
      { transaction: {} },
    );
  }
}

/** Tells a violation of what is unique by the policy of a queue. */
function isPlaceTaken(error: unknown): boolean {
  return (error as { readonly code?: unknown } | null)?.code === '23505';
}

function toAttempts(jobs: readonly QueueJob[]): JobAttempt[] {
  return jobs.map(({ id, retryCount }) => ({ id, retryCount }));
}
