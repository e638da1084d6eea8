import { randomBytes } from 'node:crypto';

import { BullModule } from '@nestjs/bullmq';
import { createPostgresBackend, type Job, setDefaultBackendFactory, Worker } from 'bullmq';

export type Backend = 'redis' | 'postgresql';

const redisUrl = process.env['REDIS_URL'];

/** Where BullMQ keeps its jobs in the tests: in PostgreSQL always, in Redis too when there is one. */
export const backends: readonly Backend[] = redisUrl === undefined ? ['postgresql'] : ['redis', 'postgresql'];

/** How a job ended, after its last attempt. */
export type JobEnd = { readonly returned: unknown } | { readonly threw: string };

export interface QueueBackend {
  readonly options: { readonly connection: never; readonly prefix: string };
  readonly workers: readonly Worker[];
  end(job: Job): Promise<JobEnd>;
}

/** Makes all queues and workers that @nestjs/bullmq makes from now on use a backend, and listens to the workers. */
export function useBackend(backend: Backend, databaseUrl: string): QueueBackend {
  setDefaultBackendFactory(backend === 'redis' ? undefined : createPostgresBackend);
  const workers: Worker[] = [];
  const ends = new Map<string, PromiseWithResolvers<JobEnd>>();
  const endOf = (job: Job | undefined): PromiseWithResolvers<JobEnd> => {
    const key = `${job?.queueName} ${job?.id}`;
    const end = ends.get(key) ?? Promise.withResolvers<JobEnd>();
    ends.set(key, end);
    return end;
  };
  BullModule.workerClass = class extends Worker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      workers.push(this);
      this.on('completed', (job, returned: unknown) => endOf(job).resolve({ returned }));
      this.on('failed', (job, { message }) => {
        if (job !== undefined && job.attemptsMade >= (job.opts.attempts ?? 1)) {
          endOf(job).resolve({ threw: message });
        }
      });
    }
  };
  const connection = backend === 'redis' ? { url: redisUrl } : { connectionString: databaseUrl, max: 2, migrate: true };
  const prefix = `mikro_session_test_${randomBytes(6).toString('hex')}`;
  return { options: { connection: connection as never, prefix }, workers, end: (job) => endOf(job).promise };
}
