import type { Db } from 'pg-boss';

import type { LeftJob } from './drained.js';

/**
 * SQL for: a row was made or changed in this transaction. Such a row is visible, and its transaction is not committed.
 */
const IS_OF_TEST = `case when age(xmin) > age(pg_current_xact_id()::xid) then false
  else pg_xact_status((pg_current_xact_id()::text::bigint + age(pg_current_xact_id()::xid) - age(xmin))::text::xid8)
    = 'in progress' end`;

interface LeftRow {
  readonly id: string;
  readonly data: { readonly input?: unknown } | null;
  readonly attempt: number;
  readonly startAfter: number;
}

interface StateRow {
  readonly id: string;
  readonly state: string;
  readonly deadLetter: string | null;
}

/** The jobs of a queue that belong to the test, in the table of pg-boss. */
export class TestJobs {
  readonly #db: Db;
  readonly #table: string;
  readonly #queue: string;

  constructor(db: Db, schema: string, queue: string) {
    this.#db = db;
    this.#table = `${schema}.job`;
    this.#queue = queue;
  }

  /** Keeps the jobs that existed before the test from being fetched, until the test is rolled back. */
  async keepOthersAway(): Promise<void> {
    // Seam: pg-boss/job-table
    await this.#db.executeSql(
      `update ${this.#table} set start_after = 'infinity' where name = $1 and id in (
        select id from ${this.#table} where name = $1 and state < 'active' and not (${IS_OF_TEST})
        for update skip locked)`,
      [this.#queue],
    );
  }

  /** Lets jobs fail for good. */
  async endRetries(ids: readonly string[]): Promise<void> {
    if (ids.length > 0) {
      // Seam: pg-boss/job-table
      await this.#db.executeSql(
        `update ${this.#table} set retry_limit = retry_count where name = $1 and id = any($2::uuid[])`,
        [this.#queue, ids],
      );
    }
  }

  /** Returns what happens to failed jobs next. */
  async findNext(ids: readonly string[]): Promise<ReadonlyMap<string, 'retry' | 'deadLetter' | 'none'>> {
    // Seam: pg-boss/job-table
    const { rows } = await this.#db.executeSql(
      `select id, state, dead_letter as "deadLetter" from ${this.#table} where name = $1 and id = any($2::uuid[])`,
      [this.#queue, ids],
    );
    return new Map((rows as readonly StateRow[]).map((row) => [row.id, toNext(row)]));
  }

  async findLeft(): Promise<readonly LeftJob[]> {
    // Seam: pg-boss/job-table
    const { rows } = await this.#db.executeSql(
      `select id, data, retry_count + 1 + (started_on is not null)::int as attempt,
          (extract(epoch from start_after) * 1000)::float8 as "startAfter"
        from ${this.#table} where name = $1 and state < 'active' and start_after < 'infinity'
        order by start_after, created_on`,
      [this.#queue],
    );
    return (rows as readonly LeftRow[]).map(({ id, data, attempt, startAfter }) => ({
      queue: this.#queue,
      id,
      attempt,
      input: data?.input,
      startAfter: new Date(startAfter),
    }));
  }
}

function toNext({ state, deadLetter }: StateRow): 'retry' | 'deadLetter' | 'none' {
  if (state === 'retry') {
    return 'retry';
  }
  return state === 'failed' && deadLetter !== null ? 'deadLetter' : 'none';
}
