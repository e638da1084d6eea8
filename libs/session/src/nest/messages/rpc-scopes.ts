import { AsyncLocalStorage } from 'node:async_hooks';

import type { ModulesContainer } from '@nestjs/core';
import { forkJoin, from, isObservable, lastValueFrom, Observable, throwError } from 'rxjs';

import { checkSeam, type Seam } from '../../session/assert-seam.js';
import { ClientScopes } from './client-scopes.js';
import type { MessageScope } from './message-scope.js';
import { END_FAILURE, type MessageScopes } from './message-scopes.js';

/** The handler that @nestjs/microservices calls for a message or an event, with the properties that it sets. */
interface RpcHandler {
  (...args: unknown[]): unknown;
  /** The next handler of the same event. */
  next?: RpcHandler;
}

/** The member of a server of @nestjs/microservices, or of a custom transport, that is used here. */
interface RpcServer {
  readonly transportId?: number | symbol | undefined;
  addHandler?(pattern: unknown, handler: RpcHandler, isEventHandler?: boolean, extras?: unknown): void;
}

interface Emitter {
  on(event: string, listener: () => void): unknown;
}

interface RpcContext {
  getSocketRef?(): Emitter;
}

const SERVERS: Seam = {
  seam: 'nestjs/rpc-servers',
  of: '@nestjs/microservices',
  loss: 'No sessions are opened for the messages of microservices',
  remedy: 'Open one in each with @InSession()',
};

// Seam: nestjs/transport-numbers
const TRANSPORTS = ['TCP', 'Redis', 'NATS', 'MQTT', 'gRPC', 'RMQ', 'Kafka'];

/** Opens a scope for each message and each event that a microservice handles, over any transport. */
export class RpcScopes {
  readonly #messages: MessageScopes;
  readonly #clients = new ClientScopes<MessageScope>();
  readonly #known = new WeakSet<RpcServer>();

  constructor(modules: ModulesContainer, messages: MessageScopes) {
    this.#messages = messages;
    // Emits each server before its handlers are added, in hybrid applications and in microservices.
    // Seam: nestjs/rpc-servers
    if (checkSeam(modules, ['getRpcTargetRegistry'], SERVERS)) {
      modules.getRpcTargetRegistry<RpcServer>().subscribe((server) => this.#install(server));
    }
  }

  #install(server: RpcServer): void {
    const { addHandler } = server;
    const isKnown = this.#known.has(server);
    if (isKnown || !checkSeam(server, ['addHandler'], SERVERS) || addHandler === undefined) {
      return;
    }
    this.#known.add(server);
    const transport = TRANSPORTS[Number(server.transportId ?? NaN)] ?? server.constructor.name;
    server.addHandler = (pattern, handler, isEventHandler, extras) => {
      const label = `${isEventHandler === true ? 'event' : 'message'} ${describePattern(pattern)} (${transport})`;
      addHandler.call(server, pattern, this.#watch(handler, label, pattern), isEventHandler, extras);
    };
  }

  #watch(handler: RpcHandler, label: string, pattern: unknown): RpcHandler {
    const watched: RpcHandler = (...args) => {
      const answer = this.#handle(handler, { label, origin: { pattern, data: args[0], context: args[1] } }, args);
      // NestJS would call the next handler from inside this one, in the same scope and with the same request-scoped
      // providers.
      return watched.next === undefined ? answer : forkJoin([settle(answer), settle(watched.next(...args))]);
    };
    return watched;
  }

  #handle(
    handler: RpcHandler,
    about: { readonly label: string; readonly origin: Record<string, unknown> },
    args: unknown[],
  ): Promise<unknown> {
    const client = findClient(args);
    const ofClient = client && this.#clients.of(client.emitter, (onGone) => client.emitter.on(client.goes, onGone));
    const scope = this.#messages.open({ ...about, ofClient });
    return this.#messages.answer(
      scope,
      () => handler(...withRequestsHere(args)),
      throwError(() => END_FAILURE),
    );
  }
}

/** Kafka takes regular expressions for patterns, too. */
function describePattern(pattern: unknown): string {
  return pattern instanceof RegExp ? String(pattern) : JSON.stringify(pattern);
}

/**
 * Makes the requests of a gRPC stream arrive in the current context. They arrive in the context of their connection,
 * but the work on them belongs to the scope.
 */
function withRequestsHere([data, ...rest]: readonly unknown[]): unknown[] {
  if (!isObservable(data)) {
    return [data, ...rest];
  }
  const here = AsyncLocalStorage.snapshot();
  const requests = new Observable((subscriber) =>
    data.subscribe({
      next: (request) => here(() => subscriber.next(request)),
      error: (error: unknown) => here(() => subscriber.error(error)),
      complete: () => here(() => subscriber.complete()),
    }),
  );
  // Seam: nestjs/grpc-requests
  const { drainBuffer } = data as { readonly drainBuffer?: () => void };
  return [Object.assign(requests, { drainBuffer }), ...rest];
}

/**
 * Returns the emitter whose event says that nobody waits for the answer any more: the socket over TCP, the call over
 * gRPC.
 */
function findClient([, context, call]: readonly unknown[]): { emitter: Emitter; goes: string } | undefined {
  const socket = (context as RpcContext | undefined)?.getSocketRef?.();
  if (socket !== undefined) {
    return { emitter: socket, goes: 'close' };
  }
  return isGrpcCall(call) ? { emitter: call, goes: 'cancelled' } : undefined;
}

function isGrpcCall(call: unknown): call is Emitter {
  return typeof call === 'object' && call !== null && 'cancelled' in call && 'on' in call;
}

/** Waits for one of several handlers of an event. An error of one does not end the wait for the others. */
async function settle(answer: unknown): Promise<unknown> {
  const result = await answer;
  return isObservable(result) ? lastValueFrom(from(result), { defaultValue: undefined }) : result;
}
