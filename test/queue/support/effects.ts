import type { TestDatabase } from '../../support/test-database.js';

/** What is left in the tables of a database after a run. */
export interface EffectCount {
  readonly effects: number;
  readonly inputs: number;
  readonly completed: number;
  /** Jobs that are not completed. */
  readonly other: number;
}

export async function countEffects(database: Pick<TestDatabase, 'query'>): Promise<EffectCount> {
  const [effects] = await database.query(
    'select count(*)::int as effects, count(distinct input)::int as inputs from effect',
  );
  const [jobs] = await database.query(
    `select count(*) filter (where state = 'completed')::int as completed,
            count(*) filter (where state <> 'completed')::int as other
       from pgboss.job where name = 'effects'`,
  );
  return { ...effects, ...jobs } as EffectCount;
}

/** How many jobs even a machine with much else to do completes before the patience of a test ends. */
const STEP = 50;

/** Waits until so many jobs are completed, as long as there is progress. */
export async function untilCompleted(database: Pick<TestDatabase, 'until'>, jobs: number): Promise<void> {
  for (let done = Math.min(STEP, jobs); done < jobs + STEP; done += STEP) {
    await database.until(`select count(*) >= $1 from pgboss.job where name = 'effects' and state = 'completed'`, [
      Math.min(done, jobs),
    ]);
  }
}
