import { anObject, assertOptions, milliseconds, ofType, type Rule } from '../session/option-rules.js';
import type { JobQueueModuleOptions } from './job-queue-options.js';

const rules: Record<keyof JobQueueModuleOptions, Rule> = {
  work: ofType('boolean'),
  shutdownTimeout: milliseconds,
  queues: anObject,
  boss: anObject,
};

/** @throws {TypeError} for the first option that is not known, or is not as it has to be */
export function assertQueueModuleOptions(options: JobQueueModuleOptions): void {
  assertOptions('JobQueueModule', options, rules);
}
