import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type JobWorker } from 'nestjs-mikro-session';
import {
  JobDeadLetterError,
  JobHandler,
  JobQueue,
  JobQueueModule,
  type QueueJobContext,
} from 'nestjs-mikro-session/pg-boss';

import { Note } from '../support/note.entity.js';
import { injections } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

interface Signup {
  readonly name: string;
}

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    signups: Signup;
    parcels: string;
    'lost-parcels': string;
  }
}

let seen = Promise.withResolvers<unknown>();

@Injectable()
@JobHandler({ queue: 'signups', input: 'data', retryLimit: 0 })
class SignupHandler implements JobWorker<Signup, void> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handle(signup: Signup, job: QueueJobContext): Promise<void> {
    this.session.create(Note, { text: signup.name });
    await this.session.flush();
    seen.resolve({ signup, metadata: job.metadata });
  }
}

@Injectable()
@JobHandler({ queue: 'parcels', metadata: true, retryLimit: 3, deadLetter: 'lost-parcels' })
class ParcelHandler implements JobWorker<string, void> {
  handle(text: string, { metadata }: QueueJobContext): void {
    if (text === 'lost') {
      throw new JobDeadLetterError('It is nowhere');
    }
    seen.resolve(metadata);
  }
}

@Injectable()
@JobHandler({ queue: 'lost-parcels', metadata: true, pollingIntervalSeconds: 0.5 })
class LostHandler implements JobWorker<string, void> {
  handle(_text: string, { metadata }: QueueJobContext): void {
    seen.resolve(metadata);
  }
}

describe.each(injections)('@JobHandler() with %s injection', (injection) => {
  let queue: JobQueue;

  const { app } = useTestApp({
    session: { injection },
    imports: [JobQueueModule.forRoot()],
    providers: [SignupHandler, ParcelHandler, LostHandler],
  });

  beforeAll(() => {
    queue = app.get(JobQueue);
  });

  beforeEach(() => {
    seen = Promise.withResolvers();
  });

  it('takes jobs of others, whose input is all of their data', async () => {
    const boss = await queue.boss();
    await boss.send('signups', { name: 'Ada' });

    expect(await seen.promise).toEqual({ signup: { name: 'Ada' }, metadata: undefined });
  });

  it('tells what pg-boss knows of a job, where it is asked to', async () => {
    await queue.send('parcels', 'here', { priority: 3, singletonKey: 'a', group: { id: 'north' } });

    expect(await seen.promise).toMatchObject({
      priority: 3,
      singletonKey: 'a',
      groupId: 'north',
      retryLimit: 3,
      deadLetter: 'lost-parcels',
      sourceName: null,
    });
  });

  it('tells of a dead letter where it came from, and why', async () => {
    const id = await queue.send('parcels', 'lost');

    expect(await seen.promise).toMatchObject({
      sourceName: 'parcels',
      sourceId: id,
      sourceRetryCount: 0,
      sourceOutput: { message: 'It is nowhere', code: 'JOB_DEAD_LETTER' },
    });
  });
});
