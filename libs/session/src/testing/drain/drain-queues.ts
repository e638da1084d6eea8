import type { ModuleRef } from '@nestjs/core';

import { JobQueueLifecycle } from '../../pg-boss/job-queue-lifecycle.js';
import { isInOpenTransaction } from '../../pg-boss/find-open-transaction.js';
import { SessionSetupError, SessionStateError } from '../../session/session-error.js';
import type { Drained, DrainedAttempt, DrainOptions } from './drained.js';
import { QueueDrain } from './queue-drain.js';

const LIMIT = 1_000;

export interface DrainedTest {
  readonly moduleRef: ModuleRef;
  /** Aborts when the test ends. */
  readonly ending: AbortSignal;
}

/** Runs the durable jobs that were sent in a test: those of one queue, or of all queues with a handler. */
export async function drainQueues(
  { moduleRef, ending }: DrainedTest,
  name: string | undefined,
  { limit = LIMIT, ignoreStartAfter = false }: DrainOptions,
): Promise<Drained> {
  const drains = await findDrains({ moduleRef, ending }, name, ignoreStartAfter);
  const attempts: DrainedAttempt[] = [];
  const take = (attempt: DrainedAttempt): void => {
    attempts.push(attempt);
    if (attempts.length > limit) {
      throw new SessionStateError(
        `SessionTesting.drain() has made ${limit} attempts at jobs, and more are left. The last one was in queue ` +
          `"${attempt.queue}". A handler that sends a job for each that it runs has no end. Let it end in the test, or ` +
          'say how many there may be: drain(queue, { limit }).',
      );
    }
  };
  let before: number;
  do {
    before = attempts.length;
    for (const drain of drains) {
      await drain.run(take);
    }
    // A job of one queue may have sent jobs to a queue that was drained before.
  } while (drains.length > 1 && attempts.length > before);
  const left = await Promise.all(drains.map((drain) => drain.findLeft()));
  return { attempts, left: left.flat() };
}

async function findDrains(
  { moduleRef, ending }: DrainedTest,
  name: string | undefined,
  ignoreStartAfter: boolean,
): Promise<QueueDrain[]> {
  const drains: QueueDrain[] = [];
  for (const { parts } of findLifecycles(moduleRef)) {
    for (const handler of parts.findHandlers()) {
      if (name === undefined || handler.options.queue === name) {
        const { boss, workers } = parts;
        const work = workers.workOf(handler);
        assertNotInTransaction(isInOpenTransaction(work.source));
        drains.push(
          new QueueDrain({
            boss: await boss.start(),
            schema: boss.schema,
            handler,
            work,
            ignoreStartAfter,
            ending,
            outside: (run) => boss.outside(run),
          }),
        );
      }
    }
  }
  if (drains.length === 0) {
    throw new SessionSetupError(
      name === undefined
        ? 'SessionTesting.drain() found no class with @JobHandler() among the providers of the application.'
        : `SessionTesting.drain() found no handler of queue "${name}". Add the class with @JobHandler({ queue: '${name}' }) ` +
            'to the providers of the application.',
    );
  }
  return drains;
}

function findLifecycles(moduleRef: ModuleRef): readonly JobQueueLifecycle[] {
  try {
    return moduleRef.get(JobQueueLifecycle, { strict: false, each: true });
  } catch (cause) {
    throw new SessionSetupError(
      'SessionTesting.drain() found no JobQueueModule in the application. Add JobQueueModule.forRoot() to its imports.',
      { cause },
    );
  }
}

/** Refuses an open transaction: the jobs would wait for its connection. */
function assertNotInTransaction(isInTransaction: boolean): void {
  if (isInTransaction) {
    throw new SessionStateError(
      'SessionTesting.drain() was called in an open transaction, whose connection the jobs need. End the transaction first: ' +
        'send the jobs in testing.run(), and call drain() after that.',
    );
  }
}
