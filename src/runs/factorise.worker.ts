import { setTimeout as pause } from 'node:timers/promises';

import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type JobContext, type JobWorker, SessionContext } from 'nestjs-mikro-session';

import { factorise } from './factorise.js';
import { Factorisation } from './factorisation.entity.js';
import { JobLog, type StartedJob } from './job-log.js';
import type { NumberAt } from './part-numbers.js';
import { Run } from './run.entity.js';
import { type RunInfo, runInfoOf } from './run-info.js';
import { SimulatedFailure } from './simulated-failure.js';

/** Factorises one number. Each job has a worker of its own, with the session and transaction of the job. */
@Injectable()
export class FactoriseWorker implements JobWorker<NumberAt, void> {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext,
    private readonly log: JobLog,
  ) {}

  async handle({ index, number }: NumberAt, { signal }: JobContext): Promise<void> {
    const { scope } = this.context;
    const job = { index, number, sessionId: scope.id, startedAt: new Date() };
    const info = runInfoOf(scope);
    await this.log.follow(info.runId, job, () => this.#factorise(job, info, signal));
  }

  async #factorise(job: StartedJob, { runId, failOn, delayMs }: RunInfo, signal: AbortSignal): Promise<void> {
    const { number } = job;
    const factors = factorise(number);
    await this.#delay(delayMs, signal);
    this.session.create(Factorisation, {
      run: this.session.getReference(Run, runId),
      ...job,
      status: 'done',
      factors,
      error: null,
      finishedAt: new Date(),
    });
    await this.session.flush();
    if (failOn.has(number)) {
      throw new SimulatedFailure(number);
    }
  }

  /** Waits. Ends early when the run is stopped, so that its running jobs finish at once. */
  async #delay(ms: number, signal: AbortSignal): Promise<void> {
    if (ms === 0 || signal.aborted) {
      return;
    }
    await pause(ms, undefined, { signal }).catch((error: unknown) => {
      if (!signal.aborted) {
        throw error;
      }
    });
  }
}
