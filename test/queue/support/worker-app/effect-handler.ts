import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type Type } from '@nestjs/common';
import { InjectSession, type JobWorker } from 'nestjs-mikro-session';
import { JobHandler, type QueueJobContext } from 'nestjs-mikro-session/pg-boss';

import { Effect } from './effect.entity.js';
import { queuePolicy, type WorkerSettings } from './worker-settings.js';

export interface EffectInput {
  readonly key: number;
  /**
   * What it does once its effect is flushed. `lock`: waits in a statement for a lock that a test may hold, in each attempt
   * for another one. `same lock`: in each attempt for the first one. `deaf`: waits for ever in its first attempt, and
   * hears nothing; another waits for a lock. `deaf later`: the same, but only where another job is completed already.
   */
  readonly hold?: 'lock' | 'same lock' | 'deaf' | 'deaf later';
  /** How it ends its process, each time. */
  readonly end?: 'exit' | 'kill' | 'abort' | 'memory';
  /** Its effect is one that the table refuses. */
  readonly isRefused?: true;
}

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    effects: EffectInput;
  }
}

/** The advisory lock that held jobs wait for in their first attempt. The next wait for the next ones. */
export const HOLD = 4_711;

/** What PostgreSQL takes for no text. */
const NO_TEXT = '\0';

/** Makes the handler that leaves an effect, as a process has been told to run it, and tells what it does. */
export function createEffectHandler(
  settings: WorkerSettings,
  tell: (line: string) => void = say,
): Type<JobWorker<EffectInput, number>> {
  const {
    name,
    chunkSize,
    prefetch = 1,
    localConcurrency = 4,
    policy = queuePolicy,
    pollingIntervalSeconds = 0.5,
  } = settings;

  @Injectable()
  @JobHandler({
    ...policy,
    queue: 'effects',
    chunkSize,
    prefetch,
    localConcurrency,
    pollingIntervalSeconds,
    notifyPollingIntervalSeconds: pollingIntervalSeconds,
  })
  class EffectHandler implements JobWorker<EffectInput, number> {
    constructor(@InjectSession() private readonly session: EntityManager) {}

    async handle({ key, hold, end, isRefused }: EffectInput, { attempt, signal }: QueueJobContext): Promise<number> {
      this.session.create(Effect, { input: key, worker: isRefused === true ? NO_TEXT : name, attempt });
      if (end !== undefined) {
        await this.session.flush();
        endProcess(end);
      }
      if (hold === undefined || (hold === 'deaf later' && !(await this.#isAnyCompleted()))) {
        return key;
      }
      await this.session.flush();
      signal.addEventListener('abort', () => tell(`told to hurry: ${key}`));
      tell(`held: ${key}`);
      const lock = hold === 'same lock' ? HOLD : HOLD + attempt - 1;
      await (hold === 'lock' || hold === 'same lock' || attempt > 1
        ? this.session.execute('select pg_advisory_xact_lock_shared(?)', [lock])
        : new Promise(() => undefined));
      return key;
    }

    async #isAnyCompleted(): Promise<boolean> {
      const rows = await this.session.execute(`select from pgboss.job where state = 'completed' limit 1`);
      return rows.length > 0;
    }
  }
  return EffectHandler;
}

export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function endProcess(end: NonNullable<EffectInput['end']>): void {
  switch (end) {
    case 'exit':
      return process.exit(7);
    case 'kill':
      process.kill(process.pid, 'SIGKILL');
      return;
    case 'abort':
      process.abort();
    case 'memory': {
      const kept: unknown[] = [];
      for (;;) {
        kept.push(Array.from({ length: 1_000_000 }, () => kept));
      }
    }
  }
}
