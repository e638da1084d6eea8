import type { TestDatabase } from '../../support/test-database.js';

/** What is left in the tables of a database after a run. */
export interface EffectCount {
  readonly effects: number;
  readonly inputs: number;
  /** How many processes left effects. */
  readonly workers: number;
  readonly completed: number;
  /** Jobs that are not completed. */
  readonly other: number;
}

export async function countEffects(database: Pick<TestDatabase, 'query'>): Promise<EffectCount> {
  const [effects] = await database.query(
    `select count(*)::int as effects, count(distinct input)::int as inputs, count(distinct worker)::int as workers
       from effect`,
  );
  const [jobs] = await database.query(
    `select count(*) filter (where state = 'completed')::int as completed,
            count(*) filter (where state <> 'completed')::int as other
       from pgboss.job where name = 'effects'`,
  );
  return { ...effects, ...jobs } as EffectCount;
}

/** Waits until so many jobs are completed, as long as there is progress. */
export async function untilCompleted(database: Pick<TestDatabase, 'until'>, jobs: number): Promise<void> {
  const completed = `select count(*) >= $1 from pgboss.job where name = 'effects' and state = 'completed'`;
  for (let part = 0.2; part < 1; part += 0.2) {
    await database.until(completed, [Math.floor(jobs * part)]);
  }
  await database.until(completed, [jobs]);
}
