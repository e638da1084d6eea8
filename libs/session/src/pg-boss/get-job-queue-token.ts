import type { InjectionToken } from '@nestjs/common';

import { JobQueueHealthIndicator } from './job-queue-health.js';
import { JobQueue } from './job-queue.js';

/** Returns the injection token of the JobQueue of a connection: the class itself for the default one. */
export function getJobQueueToken(contextName?: string): InjectionToken<JobQueue> {
  return contextName === undefined ? JobQueue : `${contextName}_JobQueue`;
}

/** Returns the injection token of the JobQueueHealthIndicator of a connection: the class itself for the default one. */
export function getJobQueueHealthToken(contextName?: string): InjectionToken<JobQueueHealthIndicator> {
  return contextName === undefined ? JobQueueHealthIndicator : `${contextName}_JobQueueHealthIndicator`;
}
