import { AsyncLocalStorage } from 'node:async_hooks';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { inspect } from 'node:util';

import type { MikroORM } from '@mikro-orm/core';
import { Logger } from '@nestjs/common';

import { createShutdownReason } from '../create-shutdown-reason.js';
import type { DriverKnowledge } from '../../session/drivers/driver-knowledge.js';
import { findKnowledge } from '../../session/drivers/find-knowledge.js';
import { SessionSetupError } from '../../session/session-error.js';
import { getPoolSize } from '../run/get-concurrency.js';
import { findUncloneable } from './find-uncloneable.js';
import { JobThread } from './job-thread.js';
import { loadPiscina, type PiscinaClass } from './load-piscina.js';
import { readThreadEnvironment, shareOf } from './thread-environment.js';
import { ThreadPool } from './thread-pool.js';
import type { ThreadsOptions } from './threads-options.js';

const PACKAGE = 'nestjs-mikro-session';

/** The threads that a run may use. */
export interface ThreadLease {
  readonly pool: ThreadPool;
  /** The number of threads for this run. */
  readonly count: number;
  /** The number of connections of each thread. */
  readonly share: number;
}

interface Home {
  readonly orm: MikroORM;
  readonly sourceToken: string | undefined;
}

/** The threads that run the jobs of one connection. They start with the first run that needs them, and stay. */
export class JobThreads {
  readonly #options: ThreadsOptions | undefined;
  readonly #home: Home;
  /** Threads outlive the request that needed them first, so they must not start in its context. */
  readonly #outside = AsyncLocalStorage.snapshot();
  readonly #pools = new Set<ThreadPool>();
  #largest: ThreadPool | undefined;
  #runs = 0;
  #isClosed = false;

  constructor(options: ThreadsOptions | undefined, home: Home) {
    assertThreadsOptions(options);
    this.#options = options;
    this.#home = home;
  }

  /** Gives each run a number of its own. */
  numberRun(): number {
    this.#runs += 1;
    return this.#runs;
  }

  /**
   * Lends threads to a run. A run that wants more threads than exist gets a new pool, with fewer connections per
   * thread. The old threads end with the runs that use them.
   */
  async lease(wanted: number): Promise<ThreadLease> {
    const application = this.#application();
    const Piscina = await loadPiscina();
    const connections = await getPoolSize(this.#home.orm);
    const count = this.#knowledge?.hasOwnInThreads === true ? wanted : Math.min(wanted, connections);
    if (this.#isClosed) {
      throw createShutdownReason();
    }
    if (this.#largest === undefined || this.#largest.size < count) {
      const outgrown = this.#largest;
      const start = (): JobThread => this.#start(Piscina, { application, connections, threads: count });
      this.#largest = new ThreadPool(count, () => this.#outside(start));
      this.#pools.add(this.#largest);
      this.#closeUnused(outgrown);
    }
    const pool = this.#largest;
    pool.users += 1;
    return { pool, count, share: shareOf(connections, pool.size) };
  }

  giveBack({ pool }: ThreadLease): void {
    pool.users -= 1;
    this.#closeUnused(pool);
  }

  /** Closes the applications of all threads, and ends the threads. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#pools].map((pool) => pool.close()));
  }

  get #knowledge(): DriverKnowledge | undefined {
    return findKnowledge(this.#home.orm);
  }

  #application(): URL {
    const obstacle = this.#knowledge?.findThreadObstacle(this.#home.orm.config);
    if (obstacle !== undefined) {
      throw new SessionSetupError(obstacle);
    }
    const application = this.#options?.application;
    if (application === undefined) {
      throw new SessionSetupError(
        'The option `threads` of a job needs to know the application of the threads. Write a file whose default export ' +
          'is a function that makes an application context with the worker among its providers, and name it: ' +
          "SessionModule.forRoot({ threads: { application: new URL('./thread-application.js', import.meta.url) } }).",
      );
    }
    return new URL(application);
  }

  #start(
    Piscina: PiscinaClass,
    { application, connections, threads }: { application: URL; connections: number; threads: number },
  ): JobThread {
    return new JobThread(Piscina, {
      entry: findEntry(application),
      environment: {
        application: application.href,
        data: this.#options?.data,
        sourceToken: this.#home.sourceToken,
        connections,
        threads,
      },
      resourceLimits: this.#options?.resourceLimits,
    });
  }

  #closeUnused(pool: ThreadPool | undefined): void {
    if (pool === undefined || pool === this.#largest || pool.users > 0) {
      return;
    }
    pool
      .close()
      .catch((error: unknown) => new Logger('Session').error(`Threads were not closed cleanly: ${String(error)}`))
      .finally(() => this.#pools.delete(pool));
  }
}

/** Makes the JobThreads of a connection. Returns undefined in a worker thread: its jobs run in that thread. */
export function createThreads(options: ThreadsOptions | undefined, home: Home): JobThreads | undefined {
  return readThreadEnvironment() === undefined ? new JobThreads(options, home) : undefined;
}

/**
 * Finds the program of the threads in the copy of this library that the application of the threads imports. Another
 * copy would not know its sessions.
 */
function findEntry(application: URL): string {
  const manifest = findManifest(application);
  return join(dirname(manifest), 'dist', 'jobs', 'threads', 'thread-entry.js');
}

function findManifest(application: URL): string {
  try {
    return createRequire(application).resolve(`${PACKAGE}/package.json`);
  } catch (cause) {
    throw new SessionSetupError(`The package "${PACKAGE}" cannot be found from "${application.href}".`, { cause });
  }
}

function assertThreadsOptions(options: ThreadsOptions | undefined): void {
  if (options === undefined) {
    return;
  }
  const { application, data } = options;
  if (!URL.canParse(String(application)) || new URL(application).protocol !== 'file:') {
    throw new TypeError(
      `Expected \`threads.application\` to be the URL of a file, got \`${inspect(application)}\` (${typeof application}). ` +
        "Write new URL('./thread-application.js', import.meta.url).",
    );
  }
  const obstacle = findUncloneable(data, 'threads.data');
  if (obstacle !== undefined) {
    throw new TypeError(`Expected \`threads.data\` to be what structured clone can copy, but ${obstacle}.`);
  }
}
