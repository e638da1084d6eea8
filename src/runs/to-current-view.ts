import type { EntityManager } from '@mikro-orm/postgresql';

import type { Run } from './run.entity.js';
import { type RunView, toRunView } from './run-view.js';

type RunCounts = Pick<RunView, 'done' | 'failed'>;

/** Returns the runs as they are now. The progress of a run in another process is counted from its results. */
export async function toCurrentViews(session: EntityManager, runs: readonly Run[]): Promise<RunView[]> {
  const unfinished = runs.filter(({ finishedAt }) => finishedAt === null);
  const counts = await countByRun(
    session,
    unfinished.map(({ id }) => id),
  );
  return runs.map((run) => Object.assign(toRunView(run), counts.get(run.id)));
}

export async function toCurrentView(session: EntityManager, run: Run): Promise<RunView> {
  const [view] = await toCurrentViews(session, [run]);
  return view ?? toRunView(run);
}

/** Counts the results of a run. */
export async function countResults(session: EntityManager, id: string): Promise<RunCounts> {
  const counts = await countByRun(session, [id]);
  return counts.get(id) ?? { done: 0, failed: 0 };
}

/** Counts the results of runs. A run without results is left out. */
async function countByRun(session: EntityManager, ids: readonly string[]): Promise<ReadonlyMap<string, RunCounts>> {
  if (ids.length === 0) {
    return new Map();
  }
  const rows = await session.execute<(RunCounts & { readonly id: string })[]>(
    `select run_id as id,
       (count(*) filter (where status = 'done'))::int as done,
       (count(*) filter (where status = 'failed'))::int as failed
     from factorisation where run_id in (?) group by run_id`,
    [ids],
  );
  return new Map(rows.map(({ id, done, failed }) => [id, { done, failed }]));
}
