import type { INestApplicationContext } from '@nestjs/common';
import { ModuleRef, ModulesContainer } from '@nestjs/core';

import { SessionSetupError } from '../../session/session-error.js';
import { SessionSource } from '../../session/session-source.js';
import { findWorker } from './find-worker.js';
import { packReason, unpackReason } from './packed-reason.js';
import { ServedRun } from './served-run.js';
import type { ThreadEnvironment } from './thread-environment.js';
import type { AllowanceNotice, PackedEnd, ThreadAnswer } from './thread-answer.js';
import type { AttemptRequest, RunSetup, ThreadRequest } from './thread-request.js';

/** The inside of a worker thread: its application, and the runs that it takes part in. */
export class ThreadServer {
  readonly #environment: ThreadEnvironment;
  readonly #notify: (notice: AllowanceNotice) => void;
  readonly #runs = new Map<number, ServedRun>();
  #application: Promise<INestApplicationContext> | undefined;

  constructor(environment: ThreadEnvironment, notify: (notice: AllowanceNotice) => void) {
    this.#environment = environment;
    this.#notify = notify;
  }

  /** Never throws: an error would lose its class on the way to the main thread. */
  async answer(request: ThreadRequest): Promise<ThreadAnswer> {
    try {
      const end = await this.#serve(request);
      return end === undefined ? { isDone: true } : { isDone: true, end };
    } catch (error) {
      return { isDone: false, reason: packReason(error) };
    }
  }

  async #serve(request: ThreadRequest): Promise<PackedEnd | undefined> {
    switch (request.kind) {
      case 'start':
        await this.#start();
        return undefined;
      case 'open':
        this.#runs.set(request.run, await this.#open(request.setup));
        return undefined;
      case 'attempt':
        return this.#attempt(request);
      case 'abort':
        this.#runs.get(request.run)?.abort(request.by, unpackReason(request.reason));
        return undefined;
      case 'close':
        this.#runs.get(request.run)?.close();
        this.#runs.delete(request.run);
        return undefined;
      case 'ping':
        return undefined;
      case 'end':
        await (await this.#application)?.close();
        return undefined;
    }
  }

  #start(): Promise<INestApplicationContext> {
    return (this.#application ??= createApplication(this.#environment));
  }

  async #open(setup: RunSetup): Promise<ServedRun> {
    const app = await this.#start();
    const { application, sourceToken = SessionSource } = this.#environment;
    return new ServedRun({
      setup,
      worker: findWorker(setup.worker, app.get(ModulesContainer), application),
      source: app.get<SessionSource>(sourceToken, { strict: false }),
      moduleRef: app.get(ModuleRef, { strict: false }),
    });
  }

  async #attempt({ run, attempt, index, inputs, number }: AttemptRequest): Promise<PackedEnd> {
    const served = this.#runs.get(run);
    if (served === undefined) {
      throw new Error(`The run ${run} is not open in this thread.`);
    }
    return served.attempt({ index, inputs }, number, (allowance) => this.#notify({ attempt, allowance }));
  }
}

/** Returns the default export of a file. In an import of CommonJS, it is a property of the default import. */
function defaultOf(exported: unknown): unknown {
  return typeof exported === 'object' && exported !== null && 'default' in exported ? exported.default : exported;
}

async function createApplication({ application, data }: ThreadEnvironment): Promise<INestApplicationContext> {
  const create = defaultOf(defaultOf(await import(application)));
  if (typeof create !== 'function') {
    throw new SessionSetupError('Expected its default export to be a function that makes an application context.');
  }
  return (create as (data: unknown) => INestApplicationContext | Promise<INestApplicationContext>)(data);
}
