import { Injectable } from '@nestjs/common';

/** The number of jobs of a run that are remembered. */
const JOBS = 200;

/** The number of runs that are remembered. */
const RUNS = 50;

/** A job of this process, also while its transaction is open and nobody else can see its row. */
export interface LoggedJob {
  readonly index: number;
  readonly number: number;
  readonly sessionId: string;
  readonly startedAt: Date;
  readonly finishedAt: Date | null;
  /** Whether the job threw. Then its transaction was rolled back. */
  readonly hasFailed: boolean;
}

export type StartedJob = Pick<LoggedJob, 'index' | 'number' | 'sessionId' | 'startedAt'>;

/** Remembers the newest jobs of the newest runs of this process, running and ended ones. */
@Injectable()
export class JobLog {
  readonly #runs = new Map<string, Map<number, LoggedJob>>();

  /** Runs `work` and records it as a job. */
  async follow(runId: string, started: StartedJob, work: () => Promise<void>): Promise<void> {
    const note = (end: Pick<LoggedJob, 'finishedAt' | 'hasFailed'>): void => this.#note(runId, { ...started, ...end });
    note({ finishedAt: null, hasFailed: false });
    let hasFailed = true;
    try {
      await work();
      hasFailed = false;
    } finally {
      note({ finishedAt: new Date(), hasFailed });
    }
  }

  /** Returns the newest jobs of a run, in the order they started. */
  list(runId: string): readonly LoggedJob[] {
    return [...(this.#runs.get(runId)?.values() ?? [])];
  }

  #note(runId: string, job: LoggedJob): void {
    const jobs = this.#runs.get(runId) ?? new Map<number, LoggedJob>();
    this.#runs.set(runId, jobs);
    dropOldest(this.#runs, RUNS);
    // An ended job keeps its position. A job that was removed is added again, as the newest.
    jobs.set(job.index, job);
    dropOldest(jobs, JOBS);
  }
}

function dropOldest(map: Map<unknown, unknown>, most: number): void {
  const [oldest] = map.keys();
  if (map.size > most) {
    map.delete(oldest);
  }
}
