import { inspect } from 'node:util';

import type { EntityManager } from '@mikro-orm/core';
import { Scope, type Type } from '@nestjs/common';
import { ContextIdFactory, type ModuleRef } from '@nestjs/core';

import { SessionSetupError } from '../../session/session-error.js';
import type { JobChunkWorker, JobContext, JobFunction, JobWorker, AnyWorker } from '../job-worker.js';
import { allAtOnce, oneByOne, type ChunkWork } from '../run/chunk-work.js';

function hasMethod(worker: object, name: 'handle' | 'handleMany'): boolean {
  const { prototype } = worker as { readonly prototype?: Readonly<Record<string, unknown>> };
  return typeof prototype?.[name] === 'function';
}

function isClass(worker: object): boolean {
  return /^class\b/.test(Function.prototype.toString.call(worker));
}

/**
 * Turns a worker of any form into a function that works on the inputs of a chunk. A class is created per call when it,
 * or one of its dependencies, is request-scoped. Its `handleMany` is used for chunks, and where it has no `handle`.
 */
export function toChunkWork<Em extends EntityManager, Input, Result>(
  worker: AnyWorker<Em, Input, Result>,
  moduleRef: ModuleRef,
  chunkSize: number,
): ChunkWork<Em, Input, Result> {
  if (typeof worker !== 'function') {
    throw new TypeError(
      `Expected \`worker\` to be a function or a class, got \`${inspect(worker)}\` (${typeof worker}).`,
    );
  }
  if (hasMethod(worker, 'handleMany') && (chunkSize > 1 || !hasMethod(worker, 'handle'))) {
    const call = toCall(worker as Type<JobChunkWorker<Input, Result>>, moduleRef);
    return allAtOnce((inputs, job) => call(job, (instance) => instance.handleMany(inputs, job)), worker.name);
  }
  if (hasMethod(worker, 'handle')) {
    const call = toCall(worker as Type<JobWorker<Input, Result>>, moduleRef);
    return oneByOne((_session, input, job) => call(job, (instance) => instance.handle(input, job)));
  }
  if (isClass(worker)) {
    throw new TypeError(
      `Expected the class \`${worker.name}\` to have a method \`handle(input, job)\` or \`handleMany(inputs, job)\`.`,
    );
  }
  return oneByOne(worker as JobFunction<Em, Input, Result>);
}

/** @throws {TypeError} for a worker that is not a class, and so cannot be found in another thread */
export function assertWorkerClass(worker: object): void {
  if (typeof worker === 'function' && (hasMethod(worker, 'handle') || hasMethod(worker, 'handleMany'))) {
    return;
  }
  throw new TypeError(
    'Expected `worker` to be a class with a method `handle(input, job)` or `handleMany(inputs, job)`, since `threads` is ' +
      `set, got \`${inspect(worker)}\` (${typeof worker}). A function cannot be sent to another thread. Make it a ` +
      'provider of the application of the threads, or set `threads` to 0.',
  );
}

type Call<Instance> = <Returned>(
  job: JobContext,
  method: (instance: Instance) => Returned | Promise<Returned>,
) => Returned | Promise<Returned>;

function toCall<Instance>(worker: Type<Instance>, moduleRef: ModuleRef): Call<Instance> {
  if (isSingleton(worker, moduleRef)) {
    const instance = moduleRef.get<Instance>(worker, { strict: false });
    return (_job, method) => method(instance);
  }
  return async (job, method) => method(await makeFor(job, worker, moduleRef));
}

function isSingleton(worker: Type, moduleRef: ModuleRef): boolean {
  try {
    return moduleRef.introspect(worker).scope === Scope.DEFAULT;
  } catch (cause) {
    throw new SessionSetupError(
      `The worker "${worker.name}" is not a provider of this application under its own class. Add the class to the ` +
        '`providers` of a module.',
      { cause },
    );
  }
}

/** Creates a worker with its request-scoped providers. Their `REQUEST` is the job. */
function makeFor<Instance>(job: JobContext, type: Type<Instance>, moduleRef: ModuleRef): Promise<Instance> {
  const contextId = ContextIdFactory.create();
  moduleRef.registerRequestByContextId(job, contextId);
  return moduleRef.resolve(type, contextId, { strict: false });
}
