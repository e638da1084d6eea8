import { anObject, assertOptions, milliseconds, ofType, type Rule } from '../session/assert-options.js';
import type { JobQueueModuleOptions } from './job-queue-module-options.js';

const rules: Record<keyof JobQueueModuleOptions, Rule> = {
  work: ofType('boolean'),
  shutdownTimeout: milliseconds,
  queues: anObject,
  boss: anObject,
};

/** @throws {TypeError} for the first option that is unknown or has a wrong value */
export function assertQueueModuleOptions(options: JobQueueModuleOptions): void {
  assertOptions('JobQueueModule', options, rules);
}
