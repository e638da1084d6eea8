import type { ModulesContainer } from '@nestjs/core';

import { checkSeam, type Seam } from '../../session/assert-seam.js';
import { checkContextId } from '../request-context-id.js';
import { withGatewayEvents } from './with-gateway-events.js';
import type { GatewayPipeline } from './gateway-pipeline.js';

export type GatewayHandler = (client: object, ...args: unknown[]) => unknown;

export interface GatewayMessage {
  readonly message: unknown;
  readonly callback: GatewayHandler;
}

/** What is to be known of one gateway of the application. */
export interface Gateway {
  readonly name: string;
  /** Whether there is one instance of it for all messages. */
  readonly isStatic: boolean;
}

/** The little that is needed of the WebSocketsController of @nestjs/websockets: one per application. */
export interface GatewayController {
  readonly config: {
    getIoAdapter(): { bindClientDisconnect?(client: object, listener: () => void): void };
  };
  readonly contextCreator: GatewayPipeline & {
    readonly guardsContextCreator: { readonly container: { getModules(): ModulesContainer } };
  };
}

/** Wraps the handlers of gateways. */
interface GatewayWatch {
  watch(controller: GatewayController): void;
  watchMessage(message: GatewayMessage, gateway: Gateway, controller: GatewayController): GatewayMessage;
  watchConnection(handler: GatewayHandler, gateway: Gateway, controller: GatewayController): GatewayHandler;
  watchDisconnection(handler: GatewayHandler, gateway: Gateway): GatewayHandler;
}

type GatewayInstance = { readonly handleConnection?: GatewayHandler; readonly handleDisconnect?: GatewayHandler };

interface GatewayWrapper {
  readonly instance: GatewayInstance;
  isDependencyTreeStatic(): boolean;
}

/** NestJS 11 gives the gateway itself, and no handlers of connections. */
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

const SCOPES = Symbol('gateway scopes');
const HOOKED = Symbol('hooked');

type HookedModules = ModulesContainer & { [SCOPES]?: GatewayWatch };
type HookedPrototype = { subscribeEvents: SubscribeEvents; [HOOKED]?: true };

/**
 * Lets `scopes` wrap the handlers of all gateways of the application that `modules` belongs to.
 *
 * An adapter sees neither the name of a gateway nor `handleConnection` of a request-scoped one, which NestJS makes a
 * tree of providers for, and no provider can reach the controller that does. So its class is changed, once per process;
 * applications without scopes of their own are passed through.
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
      scopes.watch(this);
    }
    const instance = isWrapper(gateway) ? gateway.instance : gateway;
    const isStatic = !isWrapper(gateway) || gateway.isDependencyTreeStatic();
    const known = { name: instance.constructor.name, isStatic };
    const scoped = messages.map((message) => scopes.watchMessage(message, known, this));
    // For a request-scoped gateway NestJS makes an instance per connection even where there is no method to call.
    const connect = instance.handleConnection && (onConnect ?? instance.handleConnection.bind(instance));
    const disconnect = instance.handleDisconnect && (onDisconnect ?? instance.handleDisconnect.bind(instance));
    const handlers = {
      handleConnection: connect && scopes.watchConnection(connect, known, this),
      handleDisconnect: disconnect && scopes.watchDisconnection(disconnect, known),
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
