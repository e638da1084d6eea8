import type { Type } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';

import type { JobChunkWorker, JobWorker } from '../jobs/job-worker.js';
import type { QueueInput, QueueName } from './queue-inputs.js';
import type { JobHandlerOptions } from './queue-policy.js';

/** A class that `@JobHandler()` fits. */
export type HandlerClass<Input> = Type<JobWorker<Input, unknown>> | Type<JobChunkWorker<Input, unknown>>;

export const HANDLER_OPTIONS = DiscoveryService.createDecorator<JobHandlerOptions>();

/**
 * Makes a provider the handler of a queue: the same class that JobService takes. Each of its jobs runs in a task, scope,
 * session and transaction of its own, and is completed in that transaction: its writes are committed once, or not at all.
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
