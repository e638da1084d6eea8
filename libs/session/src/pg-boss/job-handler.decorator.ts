import type { Type } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';

import type { JobChunkWorker, JobWorker } from '../jobs/job-worker.js';
import type { QueueInput, QueueName } from './queue-inputs.js';
import type { JobHandlerOptions } from './queue-policy.js';

/** A class that can have `@JobHandler()`. */
export type HandlerClass<Input> = Type<JobWorker<Input, unknown>> | Type<JobChunkWorker<Input, unknown>>;

export const HANDLER_OPTIONS = DiscoveryService.createDecorator<JobHandlerOptions>();

/**
 * Makes a provider the handler of a queue. The class has the same form as a worker of JobService. Each job runs in a
 * task, scope, session and transaction of its own. The job is completed in that transaction, so that its writes are
 * committed exactly once or not at all.
 *
 * @example
 * @JobHandler({ queue: 'factorise', retryLimit: 5, retryBackoff: true })
 * export class FactoriseHandler implements JobWorker<number, void> { ... }
 */
export function JobHandler<Name extends QueueName>(
  options: JobHandlerOptions<Name>,
): (target: HandlerClass<QueueInput<Name>>) => void {
  const decorate: ClassDecorator = HANDLER_OPTIONS(options);
  return (target) => decorate(target);
}
