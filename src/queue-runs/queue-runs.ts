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

/** How many jobs one statement cancels. */
const BATCH = 10_000;

/** Puts the jobs of runs on the queue, and takes them from there, in the transaction of who asks for it. */
@Injectable()
export class QueueRuns {
  constructor(private readonly queue: JobQueue) {}

  /** What the runs that have not ended take, of all processes. */
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
   * Ends a run with what its jobs have committed until now. Those that run are rolled back at their end, the others never
   * start. Gives whether there was something to end.
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
    // In their order, and short runs beside long ones.
    priority: -index,
    info: { runId: id, failOn: failing.has(number) ? [number] : [], delayMs, concurrency } satisfies SentRunInfo,
  });
}
