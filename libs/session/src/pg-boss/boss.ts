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

/** The connections of pg-boss itself. The jobs run on the connections of MikroORM. */
const POOL_SIZE = 4;

/** Lets the system find a dead connection while no statement runs on it. */
const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelayMillis: 10_000 };

/** Milliseconds that a statement of pg-boss may take. Only its migrations take longer. */
const ANSWER_MS = 60_000;

/** Milliseconds that pg-boss may take to stop when no job runs any more. */
const STOP_MS = 3_000;

/** The options of a pool of node-postgres that say how to reach a server. */
const CONNECTION_OPTIONS = ['connectionString', 'host', 'port', 'user', 'password', 'database', 'ssl', 'options'];

/** The options of pg-boss that say where it connects to. */
const PLACES = ['connectionString', 'host', 'database', 'db'] as const;

/** Starts, watches and stops the pg-boss of an application. */
export class Boss {
  readonly #logger = new Logger('JobQueueModule');
  readonly #orm: MikroORM;
  readonly #options: BossOptions;
  /** Timers and workers of pg-boss must not run in the context of the request that starts them. */
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

  /** The schema of the tables of pg-boss. */
  get schema(): string {
    return this.#options.schema ?? 'pgboss';
  }

  /** Returns pg-boss, and starts it on first use. After a failed start, the next call tries again. */
  start(): Promise<PgBoss> {
    if (this.#isStopped) {
      const message =
        'The job queue was used after its shutdown. Send jobs in beforeApplicationShutdown() at the latest.';
      return Promise.reject(new SessionSetupError(message));
    }
    this.#starting ??= this.#outside(() => this.#start());
    return this.#starting;
  }

  /** Runs `work` in the context in which the application was created. */
  outside<Result>(work: () => Result): Result {
    return this.#outside(work);
  }

  /**
   * Ends the connections that wait at the shutdown for an answer that cannot come: all of them when the server does not
   * answer any more, or else those whose answer the network has lost. Running jobs go back to their queue when they
   * expire.
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
    // No more statements of pg-boss are sent.
    void pool?.end().catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    const boss = await this.#starting?.catch(() => undefined);
    // The stop of pg-boss sends statements, and waits for the end of each connection.
    const giveUp = setTimeout(() => this.#abandon(boss && findOwnPool(boss)), STOP_MS);
    await Promise.race([boss?.stop({ graceful: true }), this.#unreachable.promise]);
    clearTimeout(giveUp);
    this.#watch?.stop();
    this.#isEnded = true;
  }

  /** Waits for `work`, as long as the database can be reached. */
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

  /** A worker whose fetch is never answered would neither fetch again nor end. */
  #limitAnswers(boss: PgBoss): void {
    if (this.#options.query_timeout === undefined) {
      limitAnswers(boss, ANSWER_MS);
    }
  }

  /**
   * pg-boss opens a lost connection again and repeats its work. It does the same after a statement without an answer.
   * So both are only warnings.
   */
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

  /** Returns the options to connect as MikroORM does, unless the options of pg-boss say where to connect to. */
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
