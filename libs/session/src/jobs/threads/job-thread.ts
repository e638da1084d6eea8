import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import type { ResourceLimits } from 'node:worker_threads';

import { Logger } from '@nestjs/common';

import { describeThrown } from '../../session/describe-thrown.js';
import { readProperty } from '../../session/read-property.js';
import { SessionSetupError } from '../../session/session-error.js';
import { unpackReason } from './packed-reason.js';
import type { Piscina, PiscinaClass } from './load-piscina.js';
import { type ThreadEnvironment, toWorkerData } from './thread-environment.js';
import type { AllowanceNotice, PackedEnd, ThreadAnswer } from './thread-answer.js';
import type { ThreadRequest } from './thread-request.js';
import { ThreadWatch } from './thread-watch.js';

/** Milliseconds without an answer after which a thread counts as blocked. */
const PATIENCE_MS = 1_000;

/** Milliseconds that the application of a thread may take to close. */
const CLOSING_MS = 10_000;

export interface JobThreadOptions {
  /** The program of the thread. */
  readonly entry: string;
  readonly environment: ThreadEnvironment;
  readonly resourceLimits: ResourceLimits | undefined;
}

/** One thread that runs jobs, from its start to its end. */
export class JobThread {
  readonly watch = new ThreadWatch(this, PATIENCE_MS);
  /** Rejects when the application of the thread cannot be created. */
  readonly started: Promise<void>;
  /** The number of its attempts that have not been answered yet. */
  load = 0;
  readonly #piscina: Piscina;
  readonly #ended: Promise<number>;
  #isStarted = false;
  #isOver = false;
  #failure: unknown;
  #closing: Promise<void> | undefined;
  #attempts = 0;
  /** The number of callers that would see the end of the thread. */
  #callers = 0;

  constructor(PiscinaOfOne: PiscinaClass, { entry, environment, resourceLimits }: JobThreadOptions) {
    this.#piscina = new PiscinaOfOne({
      filename: entry,
      name: 'answer',
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: Number.MAX_SAFE_INTEGER,
      // With atomics, a thread without jobs sleeps in a lock: it would neither close idle connections nor notice a
      // broken one.
      atomics: 'disabled',
      recordTiming: false,
      workerData: toWorkerData(environment),
      ...(resourceLimits !== undefined && { resourceLimits }),
    });
    const [worker] = this.#piscina.threads;
    this.#ended = new Promise((resolve) => worker?.once('exit', resolve));
    worker?.once('error', (error: unknown) => this.#keep(error));
    this.#piscina.on('message', (notice) => this.watch.allow(notice as AllowanceNotice));
    this.#piscina.on('workerDestroy', () => this.#retire());
    this.#piscina.on('error', (error) => this.#keep(error));
    this.started = this.#start(environment.application);
    // The callers that need the thread get the error.
    this.started.catch(() => undefined);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Resolves when the thread is gone, and its connections with it. */
  get ended(): Promise<number> {
    return this.#ended;
  }

  /** @throws {Error} when the thread has ended */
  assertAlive(): void {
    if (this.#isOver) {
      throw new Error('it had ended before');
    }
  }

  /** Gives each attempt a number of its own. */
  numberAttempt(): number {
    this.#attempts += 1;
    return this.#attempts;
  }

  /** @throws the error of the thread, or an error of Piscina when the thread has ended */
  async call(request: ThreadRequest): Promise<PackedEnd | undefined> {
    this.assertAlive();
    this.#callers += 1;
    try {
      const answer = (await this.#piscina.run(request)) as ThreadAnswer;
      if (!answer.isDone) {
        throw unpackReason(answer.reason);
      }
      return answer.end;
    } finally {
      this.#callers -= 1;
    }
  }

  /** Sends a message without an answer. It can be lost only when the thread ends, and then it does not matter. */
  tell(request: ThreadRequest): void {
    if (!this.#isOver) {
      this.#piscina.run(request).catch(() => undefined);
    }
  }

  /** Whether the thread handles messages. True for a thread that has ended. */
  isResponsive(): Promise<boolean> {
    const pong = this.call({ kind: 'ping' }).then(
      () => true,
      () => true,
    );
    return Promise.race([pong, this.#losePatience()]);
  }

  /** Ends the thread, whatever it is doing. */
  async kill(): Promise<void> {
    this.#isOver = true;
    await this.#piscina.destroy();
  }

  /**
   * Closes the application of the thread, and ends it.
   *
   * @throws the error of a shutdown hook of the application
   */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #start(application: string): Promise<void> {
    try {
      await this.call({ kind: 'start' });
      this.#isStarted = true;
    } catch (cause) {
      await this.kill();
      throw new SessionSetupError(
        `The application that "${application}" makes for threads did not start: ` + describeThrown(cause),
        { cause },
      );
    }
  }

  async #close(): Promise<void> {
    if (this.#isOver) {
      await this.#ended;
      return;
    }
    try {
      if (this.#isStarted) {
        // The code of a cancelled job may block the thread, or the close of its application, for ever.
        await Promise.race([this.call({ kind: 'end' }), this.#untilBlocked()]);
      }
    } finally {
      await this.kill();
    }
  }

  async #losePatience(): Promise<false> {
    await pause(PATIENCE_MS, undefined, { ref: false });
    // Perhaps the main thread was blocked, and the answer is waiting to be read.
    return nextTurn(false);
  }

  async #untilBlocked(): Promise<void> {
    const end = performance.now() + CLOSING_MS;
    do {
      await pause(PATIENCE_MS, undefined, { ref: false });
    } while ((await this.isResponsive()) && performance.now() < end);
  }

  /** Called when the thread ends by itself. Piscina would start another one in its place. */
  #retire(): void {
    if (this.#isOver) {
      return;
    }
    this.#isOver = true;
    void this.#piscina.destroy();
    if (this.#callers === 0) {
      void this.#ended.then((code) => this.#report(this.#failure ?? new Error(`worker exited with code: ${code}`)));
    }
  }

  #keep(error: unknown): void {
    this.#failure ??= error;
  }

  #report(failure: unknown): void {
    new Logger('Session').error(
      `A worker thread for jobs exited while it ran no job: ${describeThrown(failure)}`,
      readProperty(failure, 'stack'),
    );
  }
}
