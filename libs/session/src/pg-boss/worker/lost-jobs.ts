import type { JobAttempt, PgBoss } from 'pg-boss';

import type { FetchedJob } from '../queue-job.js';
import { moveWhereRoom } from './move-where-room.js';

/** An attempt at a job that has not begun. */
export type LostJob = Pick<JobAttempt, 'id' | 'retryCount'>;

/**
 * Finds the jobs of a queue whose last attempt never ended: their process ended or did not answer any more. Each of
 * them may be the cause of that.
 */
export class LostJobs {
  readonly #boss: PgBoss;
  readonly #schema: string;
  readonly #queue: string;

  constructor(boss: PgBoss, schema: string, queue: string) {
    this.#boss = boss;
    this.#schema = schema;
    this.#queue = queue;
  }

  /** Finds such jobs among fetched jobs. */
  async find<Job extends FetchedJob>(jobs: readonly Job[]): Promise<ReadonlySet<Job>> {
    const retried = jobs.filter(({ retryCount }) => retryCount > 0);
    if (retried.length === 0) {
      return new Set();
    }
    // Seam: pg-boss/job-table
    // Seam: pg-boss/expired-output
    // The failure of a handler is stored as an error. The failure
    // of an expired job is stored by pg-boss as a value.
    const { rows } = await this.#boss.getDb().executeSql(
      `select id from ${this.#schema}.job
        where name = $1 and id = any($2::uuid[]) and jsonb_typeof(output -> 'value' -> 'message') = 'string'`,
      [this.#queue, retried.map(({ id }) => id)],
    );
    const lost = new Set((rows as readonly { readonly id: string }[]).map(({ id }) => id));
    return new Set(retried.filter(({ id }) => lost.has(id)));
  }

  /**
   * Returns jobs that have not begun to their queue. Nobody fetches them for some seconds, unless they are called in.
   * They have not used an attempt.
   *
   * @returns the jobs whose place another job has taken, in a queue with a policy
   */
  setAside<Job extends LostJob>(jobs: readonly Job[], seconds: number): Promise<readonly Job[]> {
    return moveWhereRoom(jobs, async (some) => {
      // Seam: pg-boss/job-table
      // Without `started_on`, the next fetch does not count an attempt.
      await this.#boss.getDb().executeSql(
        `update ${this.#schema}.job set state = 'retry', started_on = null, heartbeat_on = null,
            start_after = ${this.#schema}.job_now() + $4 * interval '1 second'
          where name = $1 and id = any($2::uuid[]) and (id || ':' || retry_count) = any($3::text[]) and state = 'active'`,
        [...this.#name(some), seconds],
      );
    });
  }

  /**
   * Lets jobs that are set aside be fetched again. Returns false when there are none any more: another process has
   * fetched them.
   */
  async callIn(jobs: readonly LostJob[]): Promise<boolean> {
    // Seam: pg-boss/job-table
    const { rows } = await this.#boss.getDb().executeSql(
      `update ${this.#schema}.job set start_after = ${this.#schema}.job_now()
        where name = $1 and id = any($2::uuid[]) and (id || ':' || retry_count) = any($3::text[])
          and state = 'retry' and started_on is null
        returning id`,
      this.#name(jobs),
    );
    return rows.length > 0;
  }

  #name(jobs: readonly LostJob[]): unknown[] {
    return [this.#queue, jobs.map(({ id }) => id), jobs.map(({ id, retryCount }) => `${id}:${retryCount}`)];
  }
}
