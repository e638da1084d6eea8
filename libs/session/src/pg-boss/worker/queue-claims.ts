import type { EntityManager } from '@mikro-orm/core';
import { Logger } from '@nestjs/common';
import type { Db, JobAttempt, PgBoss } from 'pg-boss';

import { inBossTransaction } from '../in-boss-transaction.js';
import { readAffected, readSettled } from '../read-affected.js';
import { toOutput } from '../message/to-output.js';
import { inTransactionOf } from '../find-open-transaction.js';
import { JobClaimLostError } from '../job-claim-lost-error.js';
import { moveWhereRoom } from './move-where-room.js';

/** An attempt at a job that this process holds. */
type Claim = Pick<JobAttempt, 'id' | 'retryCount'>;

/** Completes or releases the jobs of one queue that this process holds. Never touches another attempt at a job. */
export class QueueClaims {
  readonly #boss: PgBoss;
  readonly #queue: string;

  constructor(boss: PgBoss, queue: string) {
    this.#boss = boss;
    this.#queue = queue;
  }

  /**
   * Completes jobs in the transaction of a session, so that the completion is committed together with the writes of the
   * handler.
   *
   * @throws {JobClaimLostError} when a job does not belong to this worker any more. The transaction is rolled back then
   * @throws {TypeError} for a value that cannot be stored
   */
  async complete(session: EntityManager, claims: readonly Claim[], values: readonly unknown[]): Promise<void> {
    const db = inTransactionOf(session);
    const outputs = claims.map((claim, nth) => ({ claim, output: toOutput(values[nth], claim.id, this.#queue) }));
    for (const group of Map.groupBy(outputs, ({ output }) => output).values()) {
      const attempts = toAttempts(group.map(({ claim }) => claim));
      const output = JSON.parse(group[0]?.output ?? 'null') as object | null;
      if (readAffected(await this.#boss.complete(this.#queue, attempts, output, { db })) < attempts.length) {
        throw new JobClaimLostError(
          this.#queue,
          attempts.map(({ id }) => id),
        );
      }
    }
  }

  /**
   * Returns jobs that have begun to their queue at once. They have not failed, but have used an attempt. A job whose
   * place another job has taken, in a queue with a policy, stays as it is.
   */
  async release(claims: readonly Claim[]): Promise<void> {
    const left = await moveWhereRoom(claims, (some) => this.#releaseTogether(some));
    for (const { id } of left) {
      Logger.warn(
        `Job ${id} could not go back to queue "${this.#queue}", whose policy has given its place to another. It fails, and ` +
          'is retried as the queue says.',
        'JobQueueModule',
      );
    }
  }

  #releaseTogether(claims: readonly Claim[]): Promise<void> {
    return inBossTransaction(this.#boss, async (connection) => {
      // pg-boss has no command for this. A job that is cancelled and resumed waits as if it had not been fetched.
      const settled = readSettled(await this.#boss.cancel(this.#queue, toAttempts(claims), connection));
      if (settled.length > 0) {
        await this.#boss.resume(this.#queue, [...settled], connection);
        await this.#wake(settled, connection);
      }
    });
  }

  /** Notifies all processes of the jobs: the return of jobs alone sends no notification. */
  async #wake([id = '']: readonly string[], connection: { readonly db: Db }): Promise<void> {
    // An update without changes sends the notification.
    await this.#boss.update({ name: this.#queue, options: { id, ...connection } });
  }
}

function toAttempts(claims: readonly Claim[]): JobAttempt[] {
  return claims.map(({ id, retryCount }) => ({ id, retryCount }));
}
