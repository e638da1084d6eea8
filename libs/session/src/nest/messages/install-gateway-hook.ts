import type { ContextId, ModulesContainer } from '@nestjs/core';

import { checkSeam, type Seam } from '../../session/assert-seam.js';
import { checkContextId, REQUEST_CONTEXT_ID } from '../request-context-id.js';
import type { MessageScope } from './message-scope.js';
import { withGatewayEvents } from './with-gateway-events.js';

export type GatewayHandler = (client: object, ...args: unknown[]) => unknown;

export interface GatewayMessage {
  readonly message: unknown;
  readonly callback: GatewayHandler;
}

type Next = () => Promise<unknown>;

/** The parts of the pipeline of all gateways of one application that know how a handler ended. */
interface GatewayPipeline {
  readonly interceptorsConsumer: {
    intercept(
      interceptors: unknown,
      args: unknown,
      instance: object,
      callback: unknown,
      next: Next,
      type: string,
    ): unknown;
  };
  readonly wsProxy: { handleError(...args: unknown[]): unknown };
}

/** The members of the WebSocketsController of @nestjs/websockets that are used here. Each application has one. */
export interface GatewayController {
  readonly config: {
    getIoAdapter(): { bindClientDisconnect?(client: object, listener: () => void): void };
  };
  readonly contextCreator: GatewayPipeline & {
    readonly guardsContextCreator: { readonly container: { getModules(): ModulesContainer } };
  };
}

/** Wraps the handlers of gateways. Each gateway is given by its name. */
interface GatewayWatch {
  /** The scope of the message that the running code handles. */
  readonly current: MessageScope | undefined;
  /** @throws {SessionSetupError} when NestJS 11 cannot inject into the gateway */
  checkInstance(gateway: object): void;
  watchMessage(message: GatewayMessage, gateway: string, controller: GatewayController): GatewayMessage;
  watchConnection(handler: GatewayHandler, gateway: string, controller: GatewayController): GatewayHandler;
  watchDisconnection(handler: GatewayHandler, gateway: string): GatewayHandler;
}

type GatewayInstance = { readonly handleConnection?: GatewayHandler; readonly handleDisconnect?: GatewayHandler };

interface GatewayWrapper {
  readonly instance: GatewayInstance;
  isDependencyTreeStatic(): boolean;
}

/** NestJS 11 passes the gateway itself, and no handlers of connections. */
type SubscribeEvents = (
  this: GatewayController,
  gateway: GatewayWrapper | GatewayInstance,
  messages: readonly GatewayMessage[],
  server: unknown,
  onConnect?: GatewayHandler,
  onDisconnect?: GatewayHandler,
) => void;

const GATEWAYS: Seam = {
  seam: 'nestjs/gateway-controller',
  of: '@nestjs/websockets',
  loss: 'No sessions are opened for the messages of gateways',
  remedy: 'Open one in each with @InSession()',
};

const PIPELINE: Seam = {
  seam: 'nestjs/gateway-pipeline',
  of: '@nestjs/websockets',
  loss: 'The session of a message does not wait for its handler, nor know of its failure',
};

const SCOPES = Symbol('gateway scopes');
const HOOKED = Symbol('hooked');
const CONTEXT_ID = Symbol('context id');

type HookedModules = ModulesContainer & { [SCOPES]?: GatewayWatch };
type HookedPrototype = { subscribeEvents: SubscribeEvents; [HOOKED]?: true };

/**
 * Lets `scopes` wrap the handlers of all gateways of the application that `modules` belongs to.
 *
 * An adapter does not see the name of a gateway, nor `handleConnection` of a request-scoped gateway. The
 * WebSocketsController sees both, but no provider can reach it. So its class is changed, once per process. Applications
 * without this library are unaffected.
 */
export async function installGatewayHook(modules: HookedModules, scopes: GatewayWatch): Promise<void> {
  modules[SCOPES] = scopes;
  checkContextId();
  const { WebSocketsController } = await import('@nestjs/websockets/web-sockets-controller.js');
  const prototype = WebSocketsController.prototype as unknown as HookedPrototype;
  // Seam: nestjs/gateway-controller
  if (!checkSeam(prototype, ['subscribeEvents'], GATEWAYS) || prototype[HOOKED] === true) {
    return;
  }
  prototype[HOOKED] = true;
  const { subscribeEvents } = prototype;
  const watched = new WeakSet<GatewayController>();
  prototype.subscribeEvents = function (gateway, messages, server, onConnect, onDisconnect) {
    const scopes = findScopes(this);
    if (scopes === undefined) {
      subscribeEvents.call(this, gateway, messages, server, onConnect, onDisconnect);
      return;
    }
    if (!watched.has(this)) {
      watched.add(this);
      watchPipeline(this.contextCreator, () => scopes.current);
    }
    const instance = isWrapper(gateway) ? gateway.instance : gateway;
    if (!isWrapper(gateway)) {
      scopes.checkInstance(gateway);
    }
    const { name } = instance.constructor;
    const isStatic = !isWrapper(gateway) || gateway.isDependencyTreeStatic();
    const prepare = (handler: GatewayHandler): GatewayHandler =>
      isStatic ? handler : withContextIdPerMessage(handler, () => scopes.current);
    const scoped = messages.map((message) =>
      scopes.watchMessage({ ...message, callback: prepare(message.callback) }, name, this),
    );
    // For a request-scoped gateway, NestJS passes a handler even where the gateway has no such method.
    const connect = instance.handleConnection && (onConnect ?? instance.handleConnection.bind(instance));
    const disconnect = instance.handleDisconnect && (onDisconnect ?? instance.handleDisconnect.bind(instance));
    const handlers = {
      handleConnection: connect && scopes.watchConnection(prepare(connect), name, this),
      handleDisconnect: disconnect && scopes.watchDisconnection(prepare(disconnect), name),
    };
    if (isWrapper(gateway)) {
      const { handleConnection, handleDisconnect } = handlers;
      subscribeEvents.call(this, gateway, scoped, server, handleConnection, handleDisconnect);
      return;
    }
    subscribeEvents.call(withGatewayEvents(this, handlers), gateway, scoped, server);
  };
}

function findScopes({ config, contextCreator }: GatewayController): GatewayWatch | undefined {
  const container = contextCreator?.guardsContextCreator?.container;
  if (!checkSeam({ config, contextCreator, container }, ['config', 'contextCreator', 'container'], GATEWAYS)) {
    return undefined;
  }
  return (container.getModules() as HookedModules)[SCOPES];
}

function isWrapper(gateway: GatewayWrapper | GatewayInstance): gateway is GatewayWrapper {
  return 'isDependencyTreeStatic' in gateway && 'instance' in gateway;
}

/**
 * Reports to the scope of a message what only the pipeline sees: when the handler has settled, which may be after the
 * stream of an interceptor was unsubscribed from, and whether an exception filter answered.
 */
function watchPipeline(pipeline: GatewayPipeline, currentScope: () => MessageScope | undefined): void {
  const { interceptorsConsumer, wsProxy } = pipeline;
  // Seam: nestjs/gateway-pipeline
  if (!checkSeam(interceptorsConsumer, ['intercept'], PIPELINE) || !checkSeam(wsProxy, ['handleError'], PIPELINE)) {
    return;
  }
  const { intercept } = interceptorsConsumer;
  interceptorsConsumer.intercept = (interceptors, args, instance, callback, next, type) => {
    const follow: Next = () => {
      const scope = currentScope();
      const handled = next();
      return scope === undefined ? handled : scope.follow(handled);
    };
    return intercept.call(interceptorsConsumer, interceptors, args, instance, callback, follow, type);
  };
  const { handleError } = wsProxy;
  wsProxy.handleError = (...args) => {
    currentScope()?.fail();
    return handleError.apply(wsProxy, args);
  };
}

type Scoped = MessageScope & { [CONTEXT_ID]?: ContextId };

/**
 * Moves the context id that NestJS made for the current message from the client to the scope of that message. On the
 * client it would stay as long as the client: all messages of the client would share their request-scoped providers,
 * with the session of the first message. `ContextIdFactory.getByRequest(client)` still finds it.
 */
function withContextIdPerMessage(handler: GatewayHandler, currentScope: () => Scoped | undefined): GatewayHandler {
  return (client, ...args) => {
    const result = handler(client, ...args);
    const scope = currentScope();
    const made = Object.getOwnPropertyDescriptor(client, REQUEST_CONTEXT_ID);
    if (scope !== undefined && made !== undefined) {
      scope[CONTEXT_ID] = made.value as ContextId;
      Object.defineProperty(client, REQUEST_CONTEXT_ID, {
        get: () => currentScope()?.[CONTEXT_ID],
        enumerable: false,
        configurable: true,
      });
    }
    return result;
  };
}
