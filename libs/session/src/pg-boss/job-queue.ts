import type { EntityManager } from '@mikro-orm/core';
import type {
  ConnectionOptions,
  Db,
  JobInsert,
  PgBoss,
  RedriveOptions as PgBossRedriveOptions,
  ScheduleOptions as PgBossScheduleOptions,
  SendOptions as PgBossSendOptions,
  UpdateOptions as PgBossUpdateOptions,
  UpsertResponse,
} from 'pg-boss';

import { assertIterable, InputSource } from '../jobs/run/input-source.js';
import type { ScopeInfo } from '../session/scope/scope-info.js';
import { SessionSetupError, SessionStateError } from '../session/session-error.js';
import type { SessionSource } from '../session/session-source.js';
import type { SessionEntityManager } from '../session/session-types.js';
import type { Boss } from './boss.js';
import { inBossTransaction } from './in-boss-transaction.js';
import { findOpenTransaction, inTransactionOf } from './find-open-transaction.js';
import type { QueueInput, QueueName } from './queue-inputs.js';
import { toMessage } from './message/queue-message.js';
import { readAffected } from './read-affected.js';
import { toSentInfo } from './message/to-sent-info.js';

/** The largest number of jobs in one statement. */
const BATCH = 1_000;

/** The approximate number of characters of the jobs in one statement. */
const STATEMENT_SIZE = 2 ** 24;

interface SizedJob {
  readonly job: JobInsert;
  readonly size: number;
}

interface InfoOption {
  /** The `info` of the scope of the job. It adds to that of the scope that sends the job: see `ScopeInfo`. */
  readonly info?: ScopeInfo;
}

/** Options of JobQueue.send(): those of pg-boss. */
export interface SendOptions extends Omit<PgBossSendOptions, 'db'>, InfoOption {}

/** Options of each job of JobQueue.sendMany(): those of pg-boss. */
export interface SendManyOptions extends Omit<JobInsert, 'data'>, InfoOption {}

/** Options of JobQueue.schedule(): those of pg-boss. */
export interface ScheduleOptions extends Omit<PgBossScheduleOptions, 'db'>, InfoOption {}

/** Options of JobQueue.upsert(): those of pg-boss. */
export interface UpsertOptions extends Omit<PgBossUpdateOptions, 'db' | 'id' | 'singletonKey'>, InfoOption {}

/** A job of JobQueue.flow(). */
export type FlowJob<Name extends QueueName = QueueName> = Name extends QueueName
  ? {
      /** The name of the job within the flow. */
      readonly ref: string;
      readonly queue: Name;
      readonly input: QueueInput<Name>;
      /** The jobs of the flow that have to complete before this one begins. */
      readonly dependsOn?: readonly string[];
      readonly options?: SendManyOptions;
    }
  : never;

/** Options of JobQueue.redrive(): those of pg-boss. */
export type RedriveOptions = Omit<PgBossRedriveOptions, 'db'>;

/**
 * Sends jobs to the queues of pg-boss. In an open transaction, each call is part of the transaction: if it, or the
 * savepoint around the call, rolls back, the job never existed. Elsewhere, each call takes effect at once.
 */
export class JobQueue<Em extends EntityManager = SessionEntityManager> {
  static {
    // NestJS shows this name in its error when no module provides the class.
    Object.defineProperty(this, 'name', { value: 'JobQueue (of JobQueueModule.forRoot())' });
  }

  readonly #source: SessionSource<Em>;
  readonly #boss: Boss;

  constructor(source: SessionSource<Em>, boss: Boss) {
    this.#source = source;
    this.#boss = boss;
  }

  /**
   * Returns the started pg-boss, for everything that JobQueue does not offer.
   *
   * @example
   * const boss = await queue.boss();
   * const [job] = await boss.findJobs('factorise', { id });
   */
  boss(): Promise<PgBoss> {
    return this.#boss.start();
  }

  /** Sends one job. Returns its id, or null when a singleton or throttling option did not allow another job. */
  async send<Name extends QueueName>(
    queue: Name,
    input: QueueInput<Name>,
    { info, ...options }: SendOptions = {},
  ): Promise<string | null> {
    const { message } = toMessage({ input, info: this.#infoFor(info), of: `a job for queue "${queue}"` });
    return this.#do(queue, (boss, connection) => boss.send(queue, message, { ...options, ...connection }));
  }

  /**
   * Sends a job for each input, and returns the number of jobs that were made. It sends batches of 1,000 jobs, and
   * holds only one batch in memory. Each batch is one statement, or several statements in one transaction where the
   * inputs are large. Outside of a transaction, the batches before a failed batch stay sent.
   *
   * @param options the options of every job, or a function that returns those of one job
   *
   * @example
   * await queue.sendMany('ship', orders(), (order) => ({ group: { id: order.customer }, priority: order.urgency }));
   */
  async sendMany<Name extends QueueName>(
    queue: Name,
    inputs: Iterable<QueueInput<Name>> | AsyncIterable<QueueInput<Name>>,
    options: SendManyOptions | ((input: QueueInput<Name>, index: number) => SendManyOptions) = {},
  ): Promise<number> {
    assertIterable(inputs);
    const inherited = this.#infoFor(undefined);
    const optionsOf = typeof options === 'function' ? options : () => options;
    const source = new InputSource(inputs, BATCH);
    let leavesOut: boolean | undefined;
    let count = 0;
    try {
      for (let chunk = await source.read(); chunk !== undefined; chunk = await source.read()) {
        const { index: start, inputs: batch } = chunk;
        const jobs = batch.map((input, offset): SizedJob => {
          const index = start + offset;
          const { info: own, ...job } = optionsOf(input, index);
          const info = own === undefined ? inherited : this.#infoFor(own);
          const { message, size } = toMessage({ input, index, info, of: `job ${index} for queue "${queue}"` });
          return { job: Object.assign(job, { data: message }), size };
        });
        leavesOut ??= await this.#leavesOut(queue);
        count += await this.#insertTogether(queue, splitBySize(jobs), leavesOut);
      }
    } finally {
      await source.close();
    }
    if (source.failure !== undefined) {
      throw source.failure.error;
    }
    return count;
  }

  /**
   * Changes the job with this key, if it has not begun yet, or sends one where there is none. Options that are left out
   * stay as they were. Returns which of both it did.
   *
   * @example
   * await queue.upsert('remind', `order ${id}`, { id }, { startAfter: tomorrow });
   */
  upsert<Name extends QueueName>(
    queue: Name,
    key: string,
    input: QueueInput<Name>,
    { info, ...options }: UpsertOptions = {},
  ): Promise<UpsertResponse> {
    const { message } = toMessage({ input, info: this.#infoFor(info), of: `job "${key}" for queue "${queue}"` });
    return this.#do(queue, (boss, connection) =>
      boss.upsert(queue, message, { ...options, singletonKey: key, ...connection }),
    );
  }

  /**
   * Sends jobs that wait for each other: all of them or none. Returns the id of each job by its `ref`.
   *
   * @example
   * await queue.flow([
   *   { ref: 'pay', queue: 'pay', input: 7 },
   *   { ref: 'ship', queue: 'ship', input: 7, dependsOn: ['pay'] },
   * ]);
   */
  flow(jobs: readonly FlowJob[]): Promise<Record<string, string>> {
    const queues = [...new Set(jobs.map(({ queue }) => queue))].join('", "');
    const flow = jobs.map(({ ref, queue, input, dependsOn, options: { info, ...options } = {} }) => ({
      ref,
      name: queue,
      data: toMessage({ input, info: this.#infoFor(info), of: `job "${ref}" for queue "${queue}"` }).message,
      options,
      ...(dependsOn !== undefined && { dependsOn: [...dependsOn] }),
    }));
    return this.#do(queues, (boss, connection) => boss.flow(flow, connection));
  }

  /** Sends a job to each queue that subscribes to an event. */
  async publish(event: string, input: unknown, { info, ...options }: SendOptions = {}): Promise<void> {
    const { message } = toMessage({ input, info: this.#infoFor(info), of: `event "${event}"` });
    await this.#do(event, (boss, connection) => boss.publish(event, message, { ...options, ...connection }));
  }

  /**
   * Makes each published event send a job to a queue, until `unsubscribe()`. The subscription itself is not part of a
   * transaction.
   */
  async subscribe(event: string, queue: QueueName): Promise<void> {
    await this.#do(queue, (boss) => boss.subscribe(event, queue));
  }

  /** Ends the subscription of a queue to an event. */
  async unsubscribe(event: string, queue: QueueName): Promise<void> {
    await this.#do(queue, (boss) => boss.unsubscribe(event, queue));
  }

  /**
   * Returns a `db` that makes a call of `boss()` part of the open transaction of a session.
   *
   * @throws {SessionStateError} where the session has no open transaction
   *
   * @example
   * await boss.deleteJob('ship', id, { db: queue.db(session) });
   */
  db(session: Em): Db {
    if (!session.isInTransaction()) {
      throw new SessionStateError(
        'JobQueue.db() was given a session without an open transaction. Begin one with session.transactional() or ' +
          'SessionFactory.begin(), or leave `db` out: pg-boss has connections of its own.',
      );
    }
    return inTransactionOf(session);
  }

  /**
   * Sends a job at each time of a cron expression or a recurrence rule, in UTC unless `tz` says otherwise.
   *
   * @throws {TypeError} for an invalid expression or time zone
   */
  async schedule<Name extends QueueName>(
    queue: Name,
    cron: string,
    input: QueueInput<Name>,
    { info, ...options }: ScheduleOptions = {},
  ): Promise<void> {
    const { message } = toMessage({ input, info: this.#infoFor(info), of: `the schedule of queue "${queue}"` });
    await this.#do(queue, (boss, connection) => {
      assertTimes(boss, queue, cron, options.tz);
      return boss.schedule(queue, cron, message, { ...options, ...connection });
    });
  }

  /** Ends the schedule of a queue, or the schedule with this `key` where the queue has several. */
  async unschedule(queue: QueueName, key?: string): Promise<void> {
    await this.#do(queue, (boss, connection) => boss.unschedule(queue, key, connection));
  }

  /**
   * Cancels jobs that have not ended, and returns their number. If a handler runs one of them, its transaction is
   * rolled back at its end.
   */
  cancel(queue: QueueName, id: string | string[]): Promise<number> {
    return this.#count(queue, (boss, connection) => boss.cancel(queue, id, connection));
  }

  /** Gives failed jobs one more attempt each, and returns their number. */
  retry(queue: QueueName, id: string | string[]): Promise<number> {
    return this.#count(queue, (boss, connection) => boss.retry(queue, id, connection));
  }

  /** Moves jobs from a dead letter queue back to their own queues, and returns their number. */
  redrive(queue: QueueName, options: RedriveOptions = {}): Promise<number> {
    return this.#do(queue, (boss, connection) => boss.redrive(queue, { ...options, ...connection }));
  }

  /** Makes the jobs of one batch: all of them or none. */
  async #insertTogether(queue: string, parts: readonly (readonly JobInsert[])[], leavesOut: boolean): Promise<number> {
    return this.#do(queue, async (boss, connection) => {
      const insertAll = async (together: ConnectionOptions): Promise<number> => {
        let count = 0;
        for (const jobs of parts) {
          // Returning the ids would take much of the time of the insert again.
          const returnId = leavesOut || jobs.some(mayBeLeftOut);
          const ids = await boss.insert(queue, [...jobs], { ...together, returnId });
          count += returnId ? (ids?.length ?? 0) : jobs.length;
        }
        return count;
      };
      const isTogether = parts.length === 1 || connection.db !== undefined;
      return isTogether ? insertAll(connection) : inBossTransaction(boss, insertAll);
    });
  }

  /** Whether the policy of a queue may refuse a job. */
  async #leavesOut(queue: string): Promise<boolean> {
    const boss = await this.#boss.start();
    return (await boss.getQueue(queue))?.policy !== 'standard';
  }

  #infoFor(own: ScopeInfo | undefined): ScopeInfo | undefined {
    return toSentInfo(this.#source.currentScope?.portableInfo, own);
  }

  async #count(
    queue: string,
    command: (boss: PgBoss, connection: ConnectionOptions) => Promise<object>,
  ): Promise<number> {
    return readAffected(await this.#do(queue, command));
  }

  async #do<Result>(
    queue: string,
    command: (boss: PgBoss, connection: ConnectionOptions) => Promise<Result>,
  ): Promise<Result> {
    const db = findOpenTransaction(this.#source);
    const boss = await this.#boss.start();
    try {
      return await command(boss, db === undefined ? {} : { db });
    } catch (cause) {
      throw isQueueMissing(cause) ? missingQueue(queue, cause) : cause;
    }
  }
}

/** Whether pg-boss may refuse this job, because a similar one exists. */
function mayBeLeftOut({ id, singletonKey, singletonSeconds }: JobInsert): boolean {
  return id !== undefined || singletonKey !== undefined || singletonSeconds !== undefined;
}

/** Splits jobs, so that the text of each statement stays far below the limits of V8 and PostgreSQL. */
function splitBySize(jobs: readonly SizedJob[]): readonly (readonly JobInsert[])[] {
  const parts: JobInsert[][] = [];
  let room = 0;
  for (const { job, size } of jobs) {
    if (parts.length === 0 || size > room) {
      parts.push([]);
      room = STATEMENT_SIZE;
    }
    parts.at(-1)?.push(job);
    room -= size;
  }
  return parts;
}

function assertTimes(boss: PgBoss, queue: string, cron: string, tz = 'UTC'): void {
  try {
    boss.previewSchedule(cron, { tz, count: 1 });
  } catch (cause) {
    const { message } = cause as Error;
    throw new TypeError(
      `Expected \`cron\` of the schedule of queue "${queue}" to be a cron expression or a recurrence rule, got ` +
        `"${cron}" in the time zone "${tz}". ${message}`,
      { cause },
    );
  }
}

function isQueueMissing(error: unknown): boolean {
  return (error as { readonly code?: unknown } | null)?.code === 'PGBOSS_QUEUE_NOT_FOUND';
}

function missingQueue(queue: string, cause: unknown): SessionSetupError {
  return new SessionSetupError(
    `The queue "${queue}" does not exist. Give it a handler with @JobHandler({ queue: '${queue}' }), ` +
      `or name it in JobQueueModule.forRoot({ queues: { '${queue}': {} } }).`,
    { cause },
  );
}
