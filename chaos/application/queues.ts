import type { QueuePolicy } from 'nestjs-mikro-session/pg-boss';

/** How a job of the storm goes. `flaky` fails once, `bad` always. */
export type QueueDeed = 'write' | 'slow' | 'nested' | 'flaky' | 'bad';

/** How a job of the other queue goes: `exit` and `memory` end the process that runs them. */
export type PoisonDeed = 'write' | 'slow' | 'exit' | 'memory';

/** What a job of a queue is told. */
interface Deed<Kind> {
  readonly key: string;
  readonly deed: Kind;
  /** The key of the mark that was made in the transaction that sent it. */
  readonly lot: string;
}

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    work: Deed<QueueDeed>;
    poison: Deed<PoisonDeed>;
    dead: unknown;
  }
}

/** How often a job is tried that always fails, or ends its process. */
const ATTEMPTS = 4;

/** Whatever hits the worker processes of this queue costs its jobs an attempt: they get as many as they may need. */
const work: QueuePolicy = { expireInSeconds: 4, retryLimit: 100, retryDelay: 0, deadLetter: 'dead' };

/** Nothing hits the processes of this queue but its own jobs. */
const poison: QueuePolicy = { expireInSeconds: 4, retryLimit: ATTEMPTS - 1, retryDelay: 0, deadLetter: 'dead' };

export const policies = { dead: {}, work, poison } satisfies Readonly<Record<string, QueuePolicy>>;
