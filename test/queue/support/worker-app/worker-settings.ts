import type { QueuePolicy } from 'nestjs-mikro-session/pg-boss';

/** The queue of effects. Jobs of a worker that is gone come back after seconds, any number of times. */
export const queuePolicy: QueuePolicy = { expireInSeconds: 2, retryLimit: 50, retryDelay: 0 };

/** What the process of a worker is told when it starts. */
export interface WorkerSettings {
  readonly name: string;
  readonly databaseUrl: string;
  readonly chunkSize: number;
  readonly prefetch?: number;
  readonly shutdownTimeout?: number;
  readonly localConcurrency?: number;
  readonly policy?: QueuePolicy;
  /** @default 0.5 */
  readonly pollingIntervalSeconds?: number;
}
