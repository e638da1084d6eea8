import { setTimeout as pause } from 'node:timers/promises';

import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type JobChunkWorker, type JobContext, type JobWorker } from 'nestjs-mikro-session';

import { Mark } from './mark.entity.js';

/**
 * How a job goes once it has made its mark. `deaf` hears nothing and never ends; `stumble` has, the first time, an error
 * that a retry mends.
 */
export const deeds = ['write', 'flush', 'nested', 'sleep', 'linger', 'throw', 'refused', 'stumble', 'deaf'] as const;

export type Deed = (typeof deeds)[number];

export interface MarkInput {
  readonly key: string;
  readonly deed: Deed;
}

/** A worker that is a function. */
export async function mark(session: EntityManager, { key, deed }: MarkInput, job: JobContext): Promise<string> {
  const create = (): unknown => session.create(Mark, { key, source: 'job' });
  if (deed === 'nested') {
    await session.transactional(create);
    return key;
  }
  create();
  switch (deed) {
    case 'write':
      return key;
    case 'flush':
      await session.flush();
      return key;
    case 'sleep':
      await session.flush();
      await session.execute('select pg_sleep(0.2)');
      return key;
    case 'linger':
      await session.flush();
      await pause(100, undefined, { signal: job.signal });
      return key;
    case 'throw':
      await session.flush();
      throw new Error(`The job ${key} was to fail`);
    case 'refused':
      await session.execute('select 1 / 0');
      return key;
    case 'stumble':
      await session.flush();
      if (job.attempt === 1) {
        throw Object.assign(new Error('Somebody else was faster'), { code: '40001' });
      }
      return key;
    case 'deaf':
      await session.flush();
      return new Promise(() => undefined);
  }
}

/** The same as a class. */
@Injectable()
export class MarkWorker implements JobWorker<MarkInput, string> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  handle(input: MarkInput, job: JobContext): Promise<string> {
    return mark(this.session, input, job);
  }
}

/** The same for a chunk at once. */
@Injectable()
export class MarkChunkWorker implements JobChunkWorker<MarkInput, string> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handleMany(inputs: readonly MarkInput[], job: JobContext): Promise<readonly string[]> {
    const keys: string[] = [];
    for (const input of inputs) {
      keys.push(await mark(this.session, input, job));
    }
    return keys;
  }
}
