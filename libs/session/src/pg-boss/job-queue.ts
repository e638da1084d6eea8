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

/** How many jobs go into one statement. */
const BATCH = 1_000;

/** How many characters the jobs of one statement have, about. */
const STATEMENT_SIZE = 2 ** 24;

interface SizedJob {
  readonly job: JobInsert;
  readonly size: number;
}

interface InfoOption {
  /** What the scope of the job is to know, beside what the scope that sends it knows: see `ScopeInfo`. */
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
      /** Names the job within the flow. */
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
 * Sends jobs to the queues of pg-boss. Where the running code is in an open transaction, what is done here is part of it:
 * on rollback, of a savepoint too, there is no job. Elsewhere it is done at once.
 */
export class JobQueue<Em extends EntityManager = SessionEntityManager> {
  static {
    // What NestJS calls a class that nobody provides, when it does not find it.
    Object.defineProperty(this, 'name', { value: 'JobQueue (of JobQueueModule.forRoot())' });
  }

  readonly #source: SessionSource<Em>;
  readonly #boss: Boss;

  constructor(source: SessionSource<Em>, boss: Boss) {
    this.#source = source;
    this.#boss = boss;
  }

  /**
   * The pg-boss behind this, started: for all that is not here.
   *
   * @example
   * const boss = await queue.boss();
   * const [job] = await boss.findJobs('factorise', { id });
   */
  boss(): Promise<PgBoss> {
    return this.#boss.start();
  }

  /** Sends one job. Gives its id, or null when a singleton or throttling option had no room for it. */
  async send<Name extends QueueName>(
    queue: Name,
    input: QueueInput<Name>,
    { info, ...options }: SendOptions = {},
  ): Promise<string | null> {
    const { message } = toMessage({ input, info: this.#infoFor(info), of: `a job for queue "${queue}"` });
    return this.#do(queue, (boss, connection) => boss.send(queue, message, { ...options, ...connection }));
  }

  /**
   * Sends a job for each input, in batches of 1,000, and holds no more of them than that. Gives how many jobs were made.
   * Each batch is one statement, or several in one transaction where the inputs are large. Outside of a transaction the
   * batches before one that fails stay.
   *
   * @param options of every job, or a function that gives those of one
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
   * Changes the job of a key that has not begun yet, what is left out stays as it was, and sends one where there is none.
   * Says which of both it did.
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
   * Sends jobs that wait for each other, all of them or none. Returns the id of each by its `ref`.
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

  /** Lets a queue have a job of each event that is published from now on, until `unsubscribe()`. Not of a transaction. */
  async subscribe(event: string, queue: QueueName): Promise<void> {
    await this.#do(queue, (boss) => boss.subscribe(event, queue));
  }

  async unsubscribe(event: string, queue: QueueName): Promise<void> {
    await this.#do(queue, (boss) => boss.unsubscribe(event, queue));
  }

  /**
   * The `db` that makes a call of `boss()` part of the open transaction of a session.
   *
   * @throws {SessionStateError} where the session has none
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
   * @throws {TypeError} for an expression or a time zone that is none
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

  /** Ends a schedule of a queue, the one of `key` where it has several. */
  async unschedule(queue: QueueName, key?: string): Promise<void> {
    await this.#do(queue, (boss, connection) => boss.unschedule(queue, key, connection));
  }

  /** Cancels jobs that have not ended. A handler that runs one is rolled back at its end. Gives how many there were. */
  cancel(queue: QueueName, id: string | string[]): Promise<number> {
    return this.#count(queue, (boss, connection) => boss.cancel(queue, id, connection));
  }

  /** Runs jobs again that have failed, once more each. Gives how many there were. */
  retry(queue: QueueName, id: string | string[]): Promise<number> {
    return this.#count(queue, (boss, connection) => boss.retry(queue, id, connection));
  }

  /** Moves jobs from a dead letter queue back to where they came from. Gives how many. */
  redrive(queue: QueueName, options: RedriveOptions = {}): Promise<number> {
    return this.#do(queue, (boss, connection) => boss.redrive(queue, { ...options, ...connection }));
  }

  /** Makes the jobs of one batch, all of them or none. */
  async #insertTogether(queue: string, parts: readonly (readonly JobInsert[])[], leavesOut: boolean): Promise<number> {
    return this.#do(queue, async (boss, connection) => {
      const insertAll = async (together: ConnectionOptions): Promise<number> => {
        let count = 0;
        for (const jobs of parts) {
          // To ask for the ids takes a good part of the time again.
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

  /** Whether the policy of a queue may have no room for a job. */
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

/** Whether pg-boss makes no second job like this one. */
function mayBeLeftOut({ id, singletonKey, singletonSeconds }: JobInsert): boolean {
  return id !== undefined || singletonKey !== undefined || singletonSeconds !== undefined;
}

/** Parts jobs so that the text of each statement is far below what V8 and PostgreSQL take. */
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
