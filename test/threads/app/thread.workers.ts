import { BroadcastChannel, threadId } from 'node:worker_threads';

import type { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { InjectSession, JobService, type JobContext, type JobWorker, SessionContext } from 'nestjs-mikro-session';

import { Note } from '../../support/note.entity.js';

export interface Whereabouts {
  readonly threadId: number;
  readonly pid: number;
  readonly scopeId: string;
  readonly label: string;
  readonly info: Readonly<Record<string, unknown>>;
  readonly transactionIsolation: string;
  readonly isOwnRequest: boolean;
}

/** Tells where it runs. */
@Injectable()
export class WhereWorker implements JobWorker<unknown, Whereabouts> {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    @Inject(REQUEST) private readonly request: unknown,
    private readonly context: SessionContext,
  ) {}

  async handle(_input: unknown, job: JobContext): Promise<Whereabouts> {
    const [row] = await this.session.execute<[{ pid: number; isolation: string }]>(
      `select pg_backend_pid() as pid, current_setting('transaction_isolation') as isolation`,
    );
    const { id, label, info } = this.context.scope;
    return {
      threadId,
      pid: row.pid,
      scopeId: id,
      label,
      info,
      transactionIsolation: row.isolation,
      isOwnRequest: this.request === job,
    };
  }
}

/** Writes a note, and fails after that for a negative number. Gives its thread. */
@Injectable()
export class WriteWorker implements JobWorker<number, number> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handle(input: number): Promise<number> {
    this.session.create(Note, { text: `${input}` });
    await this.session.flush();
    if (input < 0) {
      throw new RangeError(`${input}`);
    }
    return threadId;
  }
}

/** Waits for an advisory lock in its transaction, so that the test decides when it goes on. */
@Injectable()
export class LockWorker implements JobWorker<number, Pick<Whereabouts, 'threadId' | 'pid'>> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handle(lock: number): Promise<Pick<Whereabouts, 'threadId' | 'pid'>> {
    this.session.create(Note, { text: `lock ${lock}` });
    await this.session.flush();
    const [row] = await this.session.execute<[{ pid: number }]>(
      `select pg_backend_pid() as pid, pg_advisory_xact_lock_shared(${lock})`,
    );
    return { threadId, pid: row.pid };
  }
}

/** Waits for its signal, and tells why it aborted. */
@Injectable()
export class SignalWorker implements JobWorker<string, string> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handle(text: string, { signal }: JobContext): Promise<string> {
    await this.session.execute(`select set_config('application_name', 'waits', false)`);
    if (!signal.aborted) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    }
    await this.session.execute(`select set_config('application_name', '', false)`);
    this.session.create(Note, { text });
    return String(signal.reason);
  }
}

export type Trouble =
  | 'none'
  | 'endless loop'
  | 'long loop'
  | 'waits for ever'
  | 'process.exit'
  | 'uncaught exception'
  | 'process.exit later'
  | 'uncaught exception later'
  | 'out of memory'
  | 'function'
  | 'strange error'
  | 'entity';

/** Threads tell here that they are about to loop, and are told that the time for later trouble has come. */
export const TROUBLE_CHANNEL = 'trouble';

function announceLoop(): void {
  const channel = new BroadcastChannel(TROUBLE_CHANNEL);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel, not a window
  channel.postMessage('loop');
  channel.close();
}

function onDoom(act: () => void): void {
  new BroadcastChannel(TROUBLE_CHANNEL).addEventListener('message', act);
}

/** Makes trouble for its thread. */
@Injectable()
export class TroubleWorker implements JobWorker<Trouble, unknown> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handle(trouble: Trouble): Promise<unknown> {
    const note = this.session.create(Note, { text: trouble });
    await this.session.flush();
    switch (trouble) {
      case 'none':
        return threadId;
      case 'endless loop':
        announceLoop();
        for (;;) {
          // Never awaits.
        }
      case 'long loop':
        announceLoop();
        // Longer than a thread may leave a message unanswered.
        for (const start = performance.now(); performance.now() - start < 2_500;) {
          // Never awaits.
        }
        return threadId;
      case 'waits for ever':
        return new Promise(() => undefined);
      case 'process.exit':
        process.exit(3);
      case 'uncaught exception':
        setImmediate(() => {
          throw new RangeError('nobody catches this');
        });
        return new Promise(() => undefined);
      case 'process.exit later':
        onDoom(() => process.exit(3));
        return threadId;
      case 'uncaught exception later':
        onDoom(() => {
          throw new RangeError('nobody catches this');
        });
        return threadId;
      case 'out of memory': {
        const kept: unknown[] = [];
        for (;;) {
          kept.push(Array.from({ length: 1_000_000 }, () => kept));
        }
      }
      case 'function':
        return { of: [1, { what: () => trouble }] };
      case 'strange error': {
        const error = new TypeError('strange');
        const cause = new DOMException('aborted', 'AbortError');
        Object.defineProperty(cause, 'cause', { value: error });
        throw Object.assign(error, { cause, name: 'Strange', when: new Date(0), f: () => 1 });
      }
      case 'entity':
        return note;
    }
  }
}

/** Runs jobs of its own. */
@Injectable()
export class NestingWorker implements JobWorker<number, readonly number[]> {
  constructor(private readonly jobs: JobService) {}

  async handle(): Promise<readonly number[]> {
    const inner = await this.jobs.map([1, 2], WhereWorker, { threads: 2 });
    return [threadId, ...inner.map((where) => where.threadId)];
  }
}
