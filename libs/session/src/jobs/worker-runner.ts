import { inspect } from 'node:util';

import type { EntityManager } from '@mikro-orm/core';
import { Scope, type Type } from '@nestjs/common';
import { ContextIdFactory, type ModuleRef } from '@nestjs/core';

import { SessionSetupError } from '../session/session-error.js';
import type { JobContext, JobFunction, JobWorker, Worker } from './job-worker.js';

function isWorkerClass<Input, Result>(worker: unknown): worker is Type<JobWorker<Input, Result>> {
  const { prototype } = worker as { readonly prototype?: Partial<JobWorker<Input, Result>> };
  return typeof prototype?.handle === 'function';
}

function isClass(worker: object): boolean {
  return /^class\b/.test(Function.prototype.toString.call(worker));
}

/** Turns a worker of either form into a function. A class is made per job when it or what it needs is request-scoped. */
export function toJobFunction<Em extends EntityManager, Input, Result>(
  worker: Worker<Em, Input, Result>,
  moduleRef: ModuleRef,
): JobFunction<Em, Input, Result> {
  if (typeof worker !== 'function') {
    throw new TypeError(
      `Expected \`worker\` to be a function or a class, got \`${inspect(worker)}\` (${typeof worker}).`,
    );
  }
  if (isWorkerClass<Input, Result>(worker)) {
    return fromClass(worker, moduleRef);
  }
  if (isClass(worker)) {
    throw new TypeError(`Expected the class \`${worker.name}\` to have a method \`handle(input, job)\`.`);
  }
  return worker;
}

function fromClass<Em extends EntityManager, Input, Result>(
  worker: Type<JobWorker<Input, Result>>,
  moduleRef: ModuleRef,
): JobFunction<Em, Input, Result> {
  if (isSingleton(worker, moduleRef)) {
    const instance = moduleRef.get<JobWorker<Input, Result>>(worker, { strict: false });
    return (_session, input, job) => instance.handle(input, job);
  }
  return async (_session, input, job) => (await makeFor(job, worker, moduleRef)).handle(input, job);
}

function isSingleton(worker: Type, moduleRef: ModuleRef): boolean {
  try {
    return moduleRef.introspect(worker).scope === Scope.DEFAULT;
  } catch (cause) {
    throw new SessionSetupError(
      `The worker "${worker.name}" is not a provider of this application. Add it to the \`providers\` of a module.`,
      { cause },
    );
  }
}

/** Makes one request-scoped tree of providers. Its `REQUEST` is the job. */
function makeFor<Instance>(job: JobContext, type: Type<Instance>, moduleRef: ModuleRef): Promise<Instance> {
  const contextId = ContextIdFactory.create();
  moduleRef.registerRequestByContextId(job, contextId);
  return moduleRef.resolve(type, contextId, { strict: false });
}
