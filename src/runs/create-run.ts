import { randomUUID } from 'node:crypto';

import type { EntityManager } from '@mikro-orm/postgresql';

import { Run } from './run.entity.js';

type NewRun = Pick<Run, 'engine' | 'instanceId' | 'total' | 'concurrency' | 'requestSessionId'>;

/** Creates a run that waits for its turn. */
export function createRun(session: EntityManager, run: NewRun): Run {
  return session.create(Run, {
    ...run,
    id: randomUUID(),
    state: 'pending',
    done: 0,
    failed: 0,
    createdAt: new Date(),
    startedAt: null,
    finishedAt: null,
  });
}
