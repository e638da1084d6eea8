import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type JobWorker } from 'nestjs-mikro-session';

import { Item, POOL_SIZE } from './applications.ts';
import type { Claim } from './claim.ts';
import { insertInJobs, JOBS } from './in-jobs.ts';
import { limitClaim } from './peers.ts';

class InsertWorker implements JobWorker<number, void> {
  readonly #session: EntityManager;

  constructor(session: EntityManager) {
    this.#session = session;
  }

  handle(value: number): void {
    this.#session.create(Item, { value });
  }
}
Reflect.decorate([Injectable()], InsertWorker);
InjectSession()(InsertWorker, undefined, 0);

function claimOf(injection: 'request' | 'contextual', atMost: number): Claim {
  return {
    ...limitClaim,
    title: `${JOBS} jobs of a class with ${injection} injection, ${POOL_SIZE} at once`,
    atMost,
    ours: (databaseUrl) =>
      insertInJobs(JOBS, databaseUrl, { injection, providers: [InsertWorker], worker: InsertWorker }),
  };
}

export const requestWorkerClaim = claimOf('request', 1);
export const contextualWorkerClaim = claimOf('contextual', 0.9);
