import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type Type } from '@nestjs/common';
import { InjectSession, type JobWorker } from 'nestjs-mikro-session';
import { JobHandler, type QueueJobContext } from 'nestjs-mikro-session/pg-boss';

import { Effect } from './effect.entity.js';
import { queuePolicy, type WorkerSettings } from './worker-settings.js';

export interface EffectInput {
  readonly key: number;
  /**
   * What its first attempt does once its effect is flushed. `lock`: waits in a statement for the lock that a test holds.
   * `deaf`: waits for ever, and hears nothing.
   */
  readonly hold?: 'lock' | 'deaf';
  readonly fails?: true;
}

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    effects: EffectInput;
  }
}

/** The advisory lock that held jobs wait for. */
export const HOLD = 4_711;

/** Makes the handler that leaves an effect, as a process has been told to run it. */
export function createEffectHandler(settings: WorkerSettings): Type<JobWorker<EffectInput, number>> {
  const { name, chunkSize, localConcurrency = 4, policy = queuePolicy } = settings;

  @Injectable()
  @JobHandler({
    ...policy,
    queue: 'effects',
    chunkSize,
    localConcurrency,
    pollingIntervalSeconds: 0.5,
    notifyPollingIntervalSeconds: 0.5,
  })
  class EffectHandler implements JobWorker<EffectInput, number> {
    constructor(@InjectSession() private readonly session: EntityManager) {}

    async handle({ key, hold, fails }: EffectInput, { attempt, signal }: QueueJobContext): Promise<number> {
      this.session.create(Effect, { input: key, worker: name, attempt });
      if (fails === true) {
        throw new Error(`told to fail on ${key}`);
      }
      if (hold !== undefined && attempt === 1) {
        await this.session.flush();
        signal.addEventListener('abort', () => say(`told to hurry: ${key}`));
        say(`held: ${key}`);
        await (hold === 'deaf'
          ? new Promise(() => undefined)
          : this.session.execute('select pg_advisory_xact_lock_shared(?)', [HOLD]));
      }
      return key;
    }
  }
  return EffectHandler;
}

export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
