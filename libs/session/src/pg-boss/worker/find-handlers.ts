import { inspect } from 'node:util';

import type { DiscoveryService } from '@nestjs/core';

import { SessionSetupError } from '../../session/session-error.js';
import { assertBeginOptions } from '../../session/transaction/assert-begin-options.js';
import type { BeginOptions } from '../../session/transaction/begin-options.js';
import { HANDLER_OPTIONS, type HandlerClass } from '../job-handler.decorator.js';
import type { JobHandlerOptions } from '../queue-policy.js';

type Provider = ReturnType<DiscoveryService['getProviders']>[number];

export interface QueueHandler {
  readonly handler: HandlerClass<unknown>;
  readonly options: JobHandlerOptions;
}

/**
 * Finds the handlers of one connection among the providers of the application.
 *
 * @throws {SessionSetupError} for a queue with two handlers
 */
export function findHandlers(discovery: DiscoveryService, contextName: string | undefined): readonly QueueHandler[] {
  const byQueue = new Map<string, QueueHandler>();
  const handlers = discovery.getProviders().map(findClass);
  for (const handler of handlers.filter((one) => one !== undefined)) {
    const options = Reflect.getMetadata(HANDLER_OPTIONS.KEY, handler) as JobHandlerOptions;
    assertOptions(handler, options);
    if (options.contextName !== contextName) {
      continue;
    }
    const other = byQueue.get(options.queue);
    if (other !== undefined && other.handler !== handler) {
      throw new SessionSetupError(
        `The queue "${options.queue}" has two handlers, "${other.handler.name}" and "${handler.name}". ` +
          'Take one of them out of the providers, or give it a queue of its own.',
      );
    }
    byQueue.set(options.queue, { handler, options });
  }
  return [...byQueue.values()];
}

/**
 * The class of a provider that is a handler. For one that a function makes, `metatype` is that function, and NestJS
 * before 12 does not find the class.
 */
function findClass({ metatype, instance }: Provider): HandlerClass<unknown> | undefined {
  const made: unknown = typeof instance === 'object' ? (instance as object | null)?.constructor : undefined;
  return [made, metatype].find(
    (one): one is HandlerClass<unknown> =>
      typeof one === 'function' && Reflect.hasOwnMetadata(HANDLER_OPTIONS.KEY, one),
  );
}

function assertOptions(handler: HandlerClass<unknown>, options: JobHandlerOptions): void {
  const { chunkSize, prefetch, localConcurrency } = options;
  const queue: unknown = options.queue;
  if (typeof queue !== 'string' || queue === '') {
    throw new TypeError(`Expected \`queue\` of @JobHandler() on "${handler.name}" to be a name, got ${show(queue)}.`);
  }
  for (const [name, value] of Object.entries({ chunkSize, prefetch, localConcurrency })) {
    if (value !== undefined && !(Number.isInteger(value) && value >= 1)) {
      throw new TypeError(
        `Expected \`${name}\` of @JobHandler() on "${handler.name}" to be an integer of 1 or more, got ${show(value)}.`,
      );
    }
  }
  assertTransaction(handler, options.transaction);
  const input: unknown = options.input;
  if (input !== undefined && input !== 'field' && input !== 'data') {
    throw new TypeError(
      `Expected \`input\` of @JobHandler() on "${handler.name}" to be 'field' or 'data', got ${show(input)}.`,
    );
  }
}

function assertTransaction(handler: HandlerClass<unknown>, transaction: BeginOptions = {}): void {
  try {
    assertBeginOptions('@JobHandler()', transaction);
  } catch (cause) {
    throw new TypeError(`@JobHandler() on "${handler.name}": ${(cause as Error).message}`, { cause });
  }
  if (transaction.readOnly === true) {
    throw new TypeError(
      `Expected \`transaction.readOnly\` of @JobHandler() on "${handler.name}" to be left out, got \`true\`: the job is ` +
        'completed in the transaction.',
    );
  }
}

function show(value: unknown): string {
  return `\`${inspect(value)}\` (${typeof value})`;
}
