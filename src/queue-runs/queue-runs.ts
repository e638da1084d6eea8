import { Injectable } from '@nestjs/common';
import { type EntityManager } from '@mikro-orm/postgresql';
import { JobQueue, type SendManyOptions } from 'nestjs-mikro-session/pg-boss';

import { closeOnce } from '../runs/run-store.js';
import type { RunView } from '../runs/run-view.js';
import { NO_LOAD, type RunLoad } from '../runs/assert-room-for.js';
import type { Simulation } from '../runs/start-run.request.js';
import type { SentRunInfo } from '../runs/run-info.js';
import { tierOf } from './factorise.handler.js';
import { queueJobId } from './queue-job-id.js';
import { FACTORISATIONS } from './queues.js';

type NewRun = Pick<RunView, 'id' | 'concurrency'>;

/** The number of jobs that one statement cancels. */
const BATCH = 10_000;

/** Sends and cancels the jobs of runs, in the transaction of the caller. */
@Injectable()
export class QueueRuns {
  constructor(private readonly queue: JobQueue) {}

  /** Returns the load of all unfinished runs, of all processes. */
  async load(session: EntityManager): Promise<RunLoad> {
    const [load] = await session.execute<RunLoad[]>(
      `select count(*)::int as runs, coalesce(sum(total), 0)::int as numbers from run
       where engine = 'queue' and state in ('pending', 'running')`,
    );
    return load ?? NO_LOAD;
  }

  /** Sends one job per number. */
  async send(run: NewRun, numbers: Iterable<number>, simulate: Simulation): Promise<void> {
    await this.queue.sendMany(FACTORISATIONS, numbers, optionsFor(run, simulate));
  }

  /**
   * Ends a run with the results that its jobs have committed so far. Running jobs are rolled back at their end, the
   * others never start. Returns whether the run was still going on.
   */
  cancel(session: EntityManager, { id, total }: Pick<RunView, 'id' | 'total'>): Promise<boolean> {
    return closeOnce(session, id, 'cancelled', async () => {
      for (let start = 0; start < total; start += BATCH) {
        const length = Math.min(BATCH, total - start);
        await this.queue.cancel(
          FACTORISATIONS,
          Array.from({ length }, (_, nth) => queueJobId(id, start + nth)),
        );
      }
    });
  }
}

function optionsFor(
  { id, concurrency }: NewRun,
  { failOn = [], delayMs = 0 }: Simulation,
): (number: number, index: number) => SendManyOptions {
  const failing = new Set(failOn);
  const group = { id, tier: tierOf(concurrency) };
  return (number, index) => ({
    id: queueJobId(id, index),
    group,
    // Jobs run in their order, and short runs run beside long ones.
    priority: -index,
    info: { runId: id, failOn: failing.has(number) ? [number] : [], delayMs, concurrency } satisfies SentRunInfo,
  });
}
