import { SessionError } from '../session/session-error.js';

/**
 * The reason of a job whose claim was gone when its work was done: it had expired, or somebody cancelled it. What the
 * handler wrote was rolled back, because the job has been run by another worker, or will be.
 */
export class JobClaimLostError extends SessionError {
  declare readonly code: 'JOB_CLAIM_LOST';

  constructor(queue: string, ids: readonly string[]) {
    super(
      'JOB_CLAIM_LOST',
      `The work on ${ids.length === 1 ? `job ${ids[0]}` : `${ids.length} jobs, ${ids[0]} among them,`} of queue "${queue}" was rolled back, because its ` +
        'claim was gone when it was done: it had taken longer than `expireInSeconds`, its heartbeat had stopped, or it ' +
        'was cancelled. Give the queue more time, or the job less to do.',
    );
  }
}
