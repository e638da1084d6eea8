import { AsyncLocalStorage } from 'node:async_hooks';

import type { MikroORM } from '@mikro-orm/core';
import { Logger } from '@nestjs/common';
import { PgBoss } from 'pg-boss';

import { isTransientError } from '../jobs/attempt/is-transient-error.js';
import { SessionSetupError } from '../session/session-error.js';
import { isGivenUp } from '../session/pool/lost-connection.js';
import { getPool } from '../session/pool/get-pool.js';
import type { Pool } from '../session/pool/pool.js';
import { findOwnPool, limitAnswers } from './limit-answers.js';
import { BossWatch } from './boss-watch.js';
import { endForgotten } from './end-forgotten.js';
import type { BossOptions } from './job-queue-module-options.js';

/** Enough for what pg-boss does between the jobs, which run on the connections of MikroORM. */
const POOL_SIZE = 4;

/** Finds a connection that is dead while nothing runs on it. */
const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelayMillis: 10_000 };

/** Far more than a statement of pg-boss takes. Only its migrations may take longer. */
const ANSWER_MS = 60_000;

/** What pg-boss may take to stop when no job runs any more. */
const STOP_MS = 3_000;

/** What says how to reach a server, among the options of a pool of node-postgres. */
const CONNECTION_OPTIONS = ['connectionString', 'host', 'port', 'user', 'password', 'database', 'ssl', 'options'];

/** Where pg-boss connects to, among its own options. */
const PLACES = ['connectionString', 'host', 'database', 'db'] as const;

/** The pg-boss of an application. */
export class Boss {
  readonly #logger = new Logger('JobQueueModule');
  readonly #orm: MikroORM;
  readonly #options: BossOptions;
  /** Timers and workers are of no request, whoever is the first to need them. */
  readonly #outside = AsyncLocalStorage.snapshot();
  #starting: Promise<PgBoss> | undefined;
  #watch: BossWatch | undefined;
  #isStopped = false;
  #isEnded = false;
  readonly #unreachable = Promise.withResolvers<void>();

  constructor(orm: MikroORM, options: BossOptions = {}) {
    this.#orm = orm;
    this.#options = options;
  }

  /** Where its tables are. */
  get schema(): string {
    return this.#options.schema ?? 'pgboss';
  }

  /** Gives pg-boss, started on first use. A start that failed is tried again by the next. */
  start(): Promise<PgBoss> {
    if (this.#isStopped) {
      const message = 'The job queue was used after the application had shut it down.';
      return Promise.reject(new SessionSetupError(message));
    }
    this.#starting ??= this.#outside(() => this.#start());
    return this.#starting;
  }

  /** Runs `work` in the context that the application was made in. */
  outside<Result>(work: () => Result): Result {
    return this.#outside(work);
  }

  /**
   * Ends what waits at the shutdown for an answer that cannot come: all of its connections when the server does not answer
   * any more, else those whose answer the network has lost. Jobs that run get back to their queue when they expire.
   */
  async endUnreachable(): Promise<void> {
    const boss = await this.#starting?.catch(() => undefined);
    const pool = boss === undefined ? undefined : findOwnPool(boss);
    if (pool === undefined || this.#isEnded) {
      return;
    }
    if (await endForgotten(pool)) {
      this.#abandon(pool);
    }
  }

  #abandon(pool: Pool | undefined): void {
    this.#logger.warn(
      'The database did not answer at the shutdown of the application. The job queue is left as it is.',
    );
    this.#unreachable.resolve();
    this.#isEnded = true;
    pool?._clients?.forEach(({ connection }) => connection?.stream?.destroy());
    // What is left of pg-boss asks nothing more.
    void pool?.end().catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    const boss = await this.#starting?.catch(() => undefined);
    // It asks the database for this and that, waits for answers, and for the farewell of each connection.
    const giveUp = setTimeout(() => this.#abandon(boss && findOwnPool(boss)), STOP_MS);
    await Promise.race([boss?.stop({ graceful: true }), this.#unreachable.promise]);
    clearTimeout(giveUp);
    this.#watch?.stop();
    this.#isEnded = true;
  }

  /** Waits for `work`, as long as there is a database. */
  async whileReachable(work: Promise<void>): Promise<void> {
    await Promise.race([work, this.#unreachable.promise]);
  }

  async #start(): Promise<PgBoss> {
    let boss: PgBoss | undefined;
    const watch = new BossWatch(() => boss && findOwnPool(boss));
    try {
      boss = new PgBoss({ useListenNotify: true, ...KEEP_ALIVE, ...(await this.#connect()), ...this.#options });
      boss.on('error', (error) => this.#report(error));
      boss.on('warning', ({ message }) => this.#logger.warn(message));
      watch.start();
      await boss.start();
      this.#limitAnswers(boss);
      this.#watch = watch;
      return boss;
    } catch (error) {
      this.#starting = undefined;
      watch.stop();
      await boss?.stop({ graceful: false });
      throw error;
    }
  }

  /** A worker that waits for ever for the answer to its fetch would fetch nothing any more, nor end. */
  #limitAnswers(boss: PgBoss): void {
    if (this.#options.query_timeout === undefined) {
      limitAnswers(boss, ANSWER_MS);
    }
  }

  /** A connection that is lost is opened again, and what it was for is done then. So it is for a statement without answer. */
  #report(error: Error): void {
    if (this.#isEnded) {
      return;
    }
    if (isGivenUp(error)) {
      this.#logger.warn(`pg-boss got no answer, and tries again: ${error.message}`);
    } else if (isTransientError(error)) {
      this.#logger.warn(`pg-boss lost a connection, and tries again: ${error.message}`);
    } else {
      this.#logger.error(error.message, error.stack);
    }
  }

  /** Connects pg-boss as MikroORM connects, unless it is told where to. */
  async #connect(): Promise<BossOptions> {
    if (PLACES.some((name) => this.#options[name] !== undefined)) {
      return {};
    }
    const pool = await getPool(this.#orm.driver.getConnection('write'));
    if (pool === undefined) {
      throw new SessionSetupError(
        'JobQueueModule found no pool of node-postgres to connect as MikroORM does. ' +
          'Tell pg-boss where to connect to: JobQueueModule.forRoot({ boss: { connectionString } }).',
      );
    }
    const options = pool.options as unknown as Readonly<Record<string, unknown>>;
    return { max: POOL_SIZE, ...Object.fromEntries(CONNECTION_OPTIONS.map((name) => [name, options[name]])) };
  }
}
