import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { SessionFactory } from 'nestjs-mikro-session';

import { Instance } from './instance.js';
import { type Failure, storeFailures } from './failure.js';
import { countResults, toCurrentView, toCurrentViews } from './to-current-view.js';
import { RunLog } from './run-log.js';
import { Run } from './run.entity.js';
import type { RunEnding } from './run-state.js';
import { type RunView, toRunView } from './run-view.js';

export interface RunEnd {
  readonly state: RunEnding;
  readonly finishedAt: Date;
  readonly failures: readonly Failure[];
}

/**
 * Stores the progress and the end of runs. It uses sessions of its own, because the session of the request has ended by
 * then.
 */
@Injectable()
export class RunStore {
  constructor(
    private readonly sessions: SessionFactory,
    private readonly instance: Instance,
    private readonly log: RunLog,
  ) {}

  /** Only the first call counts: several processes may begin a run of the queue. */
  async begin(id: string, startedAt: Date): Promise<void> {
    const begun = await this.sessions.begin(
      async (session) => {
        const affected = await session.nativeUpdate(Run, { id, state: 'pending' }, { state: 'running', startedAt });
        return affected === 0 ? undefined : toRunView(await session.findOneOrFail(Run, id));
      },
      { label: `the start of run ${id}` },
    );
    if (begun !== undefined) {
      this.log.started(begun);
    }
  }

  /** May be called again after an error, as `finish`. */
  async storeFailures(id: string, failures: readonly Failure[]): Promise<void> {
    await this.sessions.begin((session) => storeFailures(session, id, failures), {
      label: `the failures of run ${id}`,
    });
  }

  /** May be called again after an error, even after an error after the commit. */
  async finish(id: string, end: RunEnd): Promise<RunView> {
    const ended = await this.sessions.begin(
      async (session) => {
        await storeFailures(session, id, end.failures);
        const run = await session.findOneOrFail(Run, id);
        await close(session, run, end);
        return toRunView(run);
      },
      { label: `the end of run ${id}` },
    );
    this.log.ended(ended);
    return ended;
  }

  /** Returns a run as it is now. */
  find(id: string): Promise<RunView> {
    return this.sessions.run(async (session) => toCurrentView(session, await session.findOneOrFail(Run, id)), {
      label: `a look at run ${id}`,
    });
  }

  /** Returns the runs of the queue that have not ended. */
  findQueued(): Promise<readonly RunView[]> {
    return this.sessions.run(
      async (session) =>
        toCurrentViews(session, await session.find(Run, { engine: 'queue', state: ['pending', 'running'] })),
      { label: 'a look at the runs of the queue' },
    );
  }

  /** Ends a run of the queue that has all its results, unless another process has ended it. */
  async complete(id: string): Promise<void> {
    const ended = await this.sessions.begin(
      async (session) =>
        (await closeOnce(session, id, 'done')) ? toRunView(await session.findOneOrFail(Run, id)) : undefined,
      { label: `the end of run ${id}` },
    );
    if (ended !== undefined) {
      this.log.ended(ended);
    }
  }

  /** Marks the unfinished runs of processes that have ended as interrupted. Returns their number. */
  interruptUnfinished(): Promise<number> {
    return this.sessions.begin(
      async (session) => {
        const unfinished = await session.find(Run, { engine: 'process', state: ['pending', 'running'] });
        const connected = await this.instance.findConnected(session);
        const runs = unfinished.filter(({ instanceId }) => instanceId === null || !connected.has(instanceId));
        for (const run of runs) {
          await close(session, run, { state: 'interrupted', finishedAt: new Date() });
        }
        return runs.length;
      },
      { label: 'the interruption of unfinished runs' },
    );
  }
}

/**
 * Ends a run that several callers may want to end at once. Returns whether this caller did it.
 *
 * @param settle prevents further commits of results
 */
export async function closeOnce(
  session: EntityManager,
  id: string,
  state: RunEnding,
  settle?: () => Promise<void>,
): Promise<boolean> {
  // The first caller locks the run for all others.
  const affected = await session.nativeUpdate(Run, { id, finishedAt: null }, { state });
  if (affected === 0) {
    return false;
  }
  await settle?.();
  await session.nativeUpdate(Run, { id }, { ...(await countResults(session, id)), finishedAt: new Date() });
  return true;
}

/** Counts the rows, which is correct even after a crash or a commit without an answer. */
async function close(session: EntityManager, run: Run, end: Pick<RunEnd, 'state' | 'finishedAt'>): Promise<void> {
  const { state, finishedAt } = end;
  session.assign(run, { ...(await countResults(session, run.id)), state, finishedAt });
}
