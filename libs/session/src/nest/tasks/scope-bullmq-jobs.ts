import { type UpstreamClass, warnOfUnknownClass } from '../upstream-class.js';
import type { SessionScopes } from '../session-scopes.js';

interface BullJob {
  readonly id?: string;
  readonly name: string;
  readonly queueName: string;
  readonly data: unknown;
}

interface BullWorker {
  processFn?: (job: BullJob, token?: string, signal?: AbortSignal) => Promise<unknown>;
}

/** The members that are used here of the class that makes a worker for each processor of @nestjs/bullmq. */
export interface BullExplorer {
  readonly workers: readonly BullWorker[];
  handleProcessor(...args: unknown[]): void;
}

// Seam: nestjs/bullmq
export const BULL_EXPLORER: UpstreamClass = {
  seam: 'nestjs/bullmq',
  of: '@nestjs/bullmq',
  className: 'BullExplorer',
  beside: 'ProcessorDecoratorService',
  methods: ['registerWorkers', 'handleProcessor'],
  what: 'BullMQ jobs',
};

/**
 * Opens a scope for each job around all the work of a worker for it. A request-scoped processor is created inside the
 * scope too. A decorator of @nestjs/bullmq would run too late for that.
 */
export function scopeBullmqJobs(explorer: BullExplorer, scopes: SessionScopes): void {
  const handleProcessor = explorer.handleProcessor;
  explorer.handleProcessor = (...args) => {
    const known = new Set(explorer.workers);
    handleProcessor.apply(explorer, args);
    // A new worker has not taken a job yet.
    for (const worker of explorer.workers.filter((candidate) => !known.has(candidate))) {
      scopeWorker(worker, scopes);
    }
  };
}

function scopeWorker(worker: BullWorker, scopes: SessionScopes): void {
  // Seam: bullmq/process-fn
  const { processFn } = worker;
  if (processFn === undefined) {
    warnOfUnknownClass({ ...BULL_EXPLORER, seam: 'bullmq/process-fn', of: 'bullmq', className: 'Worker' });
    return;
  }
  worker.processFn = (job, token, signal) => {
    const { id, name, data, queueName: queue } = job;
    return scopes.run(
      {
        kind: 'job',
        label: `job ${id} of queue "${queue}"`,
        signal,
        origin: { queue, id, name, data },
      },
      async () => processFn.call(worker, job, token, signal),
    );
  };
}
