import type { EntityManager } from '@mikro-orm/postgresql';
import { type JobOptions, JobService, type AnyWorker } from 'nestjs-mikro-session';

import { Item, type OursOptions, POOL_SIZE, startOurs } from './applications.ts';
import type { Side } from './claim.ts';

/** How many jobs a round has where jobs one by one are compared. */
export const JOBS = 2_000;

function insert(session: EntityManager, value: number): void {
  session.create(Item, { value });
}

export interface InJobsOptions extends OursOptions {
  readonly worker?: AnyWorker<EntityManager, number, void>;
  readonly jobOptions?: JobOptions;
}

/** Inserts a row in a job for each input, as many at once as the pool has connections. */
export async function insertInJobs(
  inputs: number,
  databaseUrl: string,
  { worker = insert, jobOptions, ...application }: InJobsOptions = {},
): Promise<Side> {
  const app = await startOurs(databaseUrl, application);
  const jobs = app.get<JobService<EntityManager>>(JobService);
  const options = { concurrency: POOL_SIZE, ...jobOptions };
  return {
    round: async () => void (await jobs.map(Array(inputs).keys(), worker, options)),
    close: () => app.close(),
  };
}
