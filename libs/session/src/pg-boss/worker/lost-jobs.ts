import type { JobAttempt, PgBoss } from 'pg-boss';

import type { FetchedJob } from '../queue-job.js';
import { moveWhereRoom } from './move-where-room.js';

/** An attempt at a job that has not begun. */
export type LostJob = Pick<JobAttempt, 'id' | 'retryCount'>;

/**
 * The jobs of a queue whose last attempt has not ended: their process died, or did not answer any more. Each of them may be
 * the one that it died of.
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

  /** Finds those among the jobs of a fetch. */
  async find<Job extends FetchedJob>(jobs: readonly Job[]): Promise<ReadonlySet<Job>> {
    const retried = jobs.filter(({ retryCount }) => retryCount > 0);
    if (retried.length === 0) {
      return new Set();
    }
    // Seam: pg-boss/job-table
    // Seam: pg-boss/expired-output
    // What a handler fails with is stored as an error. What pg-boss fails a job with that has expired is stored as a value.
    const { rows } = await this.#boss.getDb().executeSql(
      `select id from ${this.#schema}.job
        where name = $1 and id = any($2::uuid[]) and jsonb_typeof(output -> 'value' -> 'message') = 'string'`,
      [this.#queue, retried.map(({ id }) => id)],
    );
    const lost = new Set((rows as readonly { readonly id: string }[]).map(({ id }) => id));
    return new Set(retried.filter(({ id }) => lost.has(id)));
  }

  /**
   * Gives jobs that were not begun back to their queue, where nobody fetches them for some seconds unless they are called
   * in. They have used up no attempt.
   *
   * @returns those whose place has been taken meanwhile, in a queue with a policy
   */
  setAside<Job extends LostJob>(jobs: readonly Job[], seconds: number): Promise<readonly Job[]> {
    return moveWhereRoom(jobs, async (some) => {
      // Seam: pg-boss/job-table
      // Without `started_on` the next fetch counts no attempt.
      await this.#boss.getDb().executeSql(
        `update ${this.#schema}.job set state = 'retry', started_on = null, heartbeat_on = null,
            start_after = ${this.#schema}.job_now() + $4 * interval '1 second'
          where name = $1 and id = any($2::uuid[]) and (id || ':' || retry_count) = any($3::text[]) and state = 'active'`,
        [...this.#name(some), seconds],
      );
    });
  }

  /** Lets jobs that are set aside be fetched. Returns false when there are none: another process has them. */
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
