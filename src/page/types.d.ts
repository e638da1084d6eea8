/** A run, as `GET /jobs/:id` answers. */
export interface Run {
  readonly id: string;
  readonly engine: 'process' | 'queue';
  readonly state: 'pending' | 'running' | 'done' | 'cancelled' | 'interrupted';
  readonly total: number;
  readonly done: number;
  readonly failed: number;
  readonly concurrency: number;
  readonly requestSessionId: string;
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
}

/** The progress of a run, as its events report it. */
export interface Progress extends Pick<Run, 'state' | 'done' | 'failed' | 'total'> {
  readonly rate?: number;
  readonly timeLeft?: number;
}

/** The outcome of one number, as `GET /jobs/:id/results` answers. */
export interface Result {
  readonly index: number;
  readonly number: number;
  readonly status: 'done' | 'failed';
  readonly factors: readonly number[] | null;
  readonly error: string | null;
  readonly sessionId: string | null;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
}

/** A job that has not committed yet, or has just ended. */
export interface LoggedJob {
  readonly index: number;
  readonly number: number;
  readonly sessionId: string;
  readonly startedAt: string;
  readonly finishedAt: string | null;
  readonly hasFailed: boolean;
}

export interface JobLog {
  readonly now: string;
  readonly jobs: readonly LoggedJob[];
}

export interface Page<Item> {
  readonly total: number;
  readonly offset: number;
  readonly limit: number;
  readonly items: readonly Item[];
}

export interface Misuse {
  readonly error: string;
  readonly code: string;
  readonly message: string;
  readonly help: string;
}

/** A job as the page shows it. Times are milliseconds, by the clock of the server. */
export interface Job {
  readonly index: number;
  readonly number: number;
  readonly state: 'running' | 'done' | 'failed';
  readonly factors: readonly number[] | null;
  readonly error: string | null;
  readonly sessionId: string | null;
  readonly from: number | null;
  readonly to: number | null;
}
