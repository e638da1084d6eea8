import { SessionError } from '../session/session-error.js';

/**
 * The reason of a job that no longer belonged to this worker when its work was done, because it had expired or was
 * cancelled. The writes of the handler were rolled back: another worker has run the job, or will run it.
 */
export class JobClaimLostError extends SessionError {
  declare readonly code: 'JOB_CLAIM_LOST';

  constructor(queue: string, ids: readonly string[]) {
    super(
      'JOB_CLAIM_LOST',
      `The work on ${ids.length === 1 ? `job ${ids[0]}` : `${ids.length} jobs, ${ids[0]} among them,`} of queue "${queue}" was rolled back, because its ` +
        'claim was gone when the work was done: the job had taken longer than `expireInSeconds`, its heartbeat had stopped, ' +
        'or it was cancelled. Give the queue more time, or the job less to do.',
    );
  }
}
