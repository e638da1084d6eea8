/** @module nestjs-mikro-session/pg-boss */
export type { QueueDepth } from './count-queues.js';
export { JobHandler, type HandlerClass } from './job-handler.decorator.js';
export { type JobQueueHealth, JobQueueHealthIndicator } from './job-queue-health.js';
export type {
  BossOptions,
  JobQueueModuleExtras,
  JobQueueModuleOptions,
  JobQueueOptionsFactory,
} from './job-queue-module-options.js';
export {
  type FlowJob,
  JobQueue,
  type RedriveOptions,
  type ScheduleOptions,
  type SendManyOptions,
  type SendOptions,
  type UpsertOptions,
} from './job-queue.js';
export { JobQueueModule } from './job-queue.module.js';
export { JobClaimLostError } from './job-claim-lost-error.js';
export { JobDeadLetterError } from './job-dead-letter-error.js';
export type { QueueInput, QueueInputs, QueueName } from './queue-inputs.js';
export type { JobMetadata, QueueJobContext } from './queue-job.js';
export type { FetchPolicy, JobHandlerOptions, QueuePolicy } from './queue-policy.js';
export { getJobQueueHealthToken, getJobQueueToken } from './get-job-queue-token.js';
