import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { SessionFactory } from 'nestjs-mikro-session';

import { Factorisation } from './factorisation.entity.js';
import { Run } from './run.entity.js';
import type { RunEnding } from './run-state.js';
import { type RunView, toRunView } from './run-view.js';

const CHUNK = 1_000;

export interface Failure {
  readonly index: number;
  readonly number: number;
  readonly error: string;
}

export interface RunEnd {
  readonly state: RunEnding;
  readonly finishedAt: Date;
  readonly failures: readonly Failure[];
}

/** Stores what becomes of the runs, in sessions of its own: when a run goes on, that of its request has ended. */
@Injectable()
export class RunStore {
  constructor(private readonly sessions: SessionFactory<EntityManager>) {}

  async begin(id: string, startedAt: Date): Promise<void> {
    await this.sessions.begin((session) => session.nativeUpdate(Run, { id }, { state: 'running', startedAt }), {
      label: `the start of run ${id}`,
    });
  }

  /** May be called again when it failed, also when it failed after its commit. */
  finish(id: string, end: RunEnd): Promise<RunView> {
    return this.sessions.begin(
      async (session) => {
        await storeFailures(session, id, end.failures);
        const run = await session.findOneOrFail(Run, id);
        await close(session, run, end);
        return toRunView(run);
      },
      { label: `the end of run ${id}` },
    );
  }

  /** Marks what an earlier process left unfinished. Gives the number of such runs. */
  interruptUnfinished(): Promise<number> {
    return this.sessions.begin(
      async (session) => {
        const runs = await session.find(Run, { state: ['pending', 'running'] });
        for (const run of runs) {
          await close(session, run, { state: 'interrupted', finishedAt: new Date() });
        }
        return runs.length;
      },
      { label: 'the interruption of unfinished runs' },
    );
  }
}

/** Leaves out the job whose commit succeeded but was not answered: its row is there. */
async function storeFailures(session: EntityManager, run: string, failures: readonly Failure[]): Promise<void> {
  for (let start = 0; start < failures.length; start += CHUNK) {
    const rows = failures
      .slice(start, start + CHUNK)
      .map((failure) => ({ ...failure, run, status: 'failed' as const }));
    await session.createQueryBuilder(Factorisation).insert(rows).onConflict().ignore().execute();
  }
}

/** Counts the rows, which is true also after a crash or a commit without answer. */
async function close(session: EntityManager, run: Run, end: Pick<RunEnd, 'state' | 'finishedAt'>): Promise<void> {
  run.done = await session.count(Factorisation, { run, status: 'done' });
  run.failed = await session.count(Factorisation, { run, status: 'failed' });
  run.state = end.state;
  run.finishedAt = end.finishedAt;
}
