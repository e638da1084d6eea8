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

/** How long a thread may take to answer before it counts as blocked. */
const PATIENCE_MS = 1_000;

/** How long its application may take to close. */
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
  /** Rejects when its application cannot be made. */
  readonly started: Promise<void>;
  /** How many attempts it has been given and has not answered. */
  load = 0;
  readonly #piscina: Piscina;
  readonly #ended: Promise<number>;
  #isStarted = false;
  #isOver = false;
  #failure: unknown;
  #closing: Promise<void> | undefined;
  #attempts = 0;
  /** How many callers would be told of its end. */
  #callers = 0;

  constructor(PiscinaOfOne: PiscinaClass, { entry, environment, resourceLimits }: JobThreadOptions) {
    this.#piscina = new PiscinaOfOne({
      filename: entry,
      name: 'answer',
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: Number.MAX_SAFE_INTEGER,
      // Without jobs the thread would else sleep in a lock, and neither close idle connections nor see that one broke.
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
    // Whoever needs the thread finds it out.
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

  /**
   * @throws what was thrown in the thread, or an error of Piscina's when the thread has ended
   */
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

  /** Sends what nobody waits for. It gets lost only with the thread, and then nothing is left there to be told. */
  tell(request: ThreadRequest): void {
    if (!this.#isOver) {
      this.#piscina.run(request).catch(() => undefined);
    }
  }

  /** Whether the thread gets to its messages. One that is over cannot be blocked. */
  isResponsive(): Promise<boolean> {
    const pong = this.call({ kind: 'ping' }).then(
      () => true,
      () => true,
    );
    return Promise.race([pong, this.#losePatience()]);
  }

  /** Ends the thread, whatever it does. */
  async kill(): Promise<void> {
    this.#isOver = true;
    await this.#piscina.destroy();
  }

  /**
   * Closes the application of the thread, and ends it.
   *
   * @throws what its shutdown hooks throw
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
        // What is left of a job that was cut may block the thread, or its application, for ever.
        await Promise.race([this.call({ kind: 'end' }), this.#untilBlocked()]);
      }
    } finally {
      await this.kill();
    }
  }

  async #losePatience(): Promise<false> {
    await pause(PATIENCE_MS, undefined, { ref: false });
    // Perhaps it is this thread that was blocked, and the answer is there.
    return nextTurn(false);
  }

  async #untilBlocked(): Promise<void> {
    const end = performance.now() + CLOSING_MS;
    do {
      await pause(PATIENCE_MS, undefined, { ref: false });
    } while ((await this.isResponsive()) && performance.now() < end);
  }

  /** Called when the thread dies by itself. Piscina would start another one in its place. */
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
      `A thread for jobs ended while it ran none: ${describeThrown(failure)}`,
      readProperty(failure, 'stack'),
    );
  }
}
