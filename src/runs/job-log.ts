import { Injectable } from '@nestjs/common';

/** How many jobs of a run are remembered. */
const JOBS = 200;

/** Of how many runs. */
const RUNS = 50;

/** A job of this process, as it is while its transaction is open and nobody else can see its row. */
export interface LoggedJob {
  readonly index: number;
  readonly number: number;
  readonly sessionId: string;
  readonly startedAt: Date;
  readonly finishedAt: Date | null;
  /** Whether the job threw: then its session was rolled back. */
  readonly hasFailed: boolean;
}

export type StartedJob = Pick<LoggedJob, 'index' | 'number' | 'sessionId' | 'startedAt'>;

/** Remembers the newest jobs of the newest runs of this process: those that run, and those that have just ended. */
@Injectable()
export class JobLog {
  readonly #runs = new Map<string, Map<number, LoggedJob>>();

  /** Runs `work` as a job that can be looked at. */
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
    // One that has ended stays where it was. One that was pushed out comes in again, as the newest.
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
