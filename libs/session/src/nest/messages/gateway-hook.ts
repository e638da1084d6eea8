import type { ModulesContainer } from '@nestjs/core';

import { checkSeam, type Seam } from '../../session/assert-seam.js';
import { checkContextId } from '../check-context-id.js';
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
  readonly container: { getModules(): ModulesContainer };
  readonly contextCreator: GatewayPipeline;
}

/** Wraps the handlers of gateways. */
interface GatewayWatch {
  watch(controller: GatewayController): void;
  watchMessage(message: GatewayMessage, gateway: Gateway, controller: GatewayController): GatewayMessage;
  watchConnection(handler: GatewayHandler, gateway: Gateway, controller: GatewayController): GatewayHandler;
  watchDisconnection(handler: GatewayHandler, gateway: Gateway): GatewayHandler;
}

interface GatewayWrapper {
  readonly instance: { readonly handleConnection?: unknown; readonly handleDisconnect?: unknown };
  isDependencyTreeStatic(): boolean;
}

type SubscribeEvents = (
  this: GatewayController,
  wrapper: GatewayWrapper,
  messages: readonly GatewayMessage[],
  server: unknown,
  onConnect: GatewayHandler | undefined,
  onDisconnect: GatewayHandler | undefined,
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
  prototype.subscribeEvents = function (wrapper, messages, server, onConnect, onDisconnect) {
    if (!checkSeam(this, ['container', 'config', 'contextCreator'], GATEWAYS)) {
      subscribeEvents.call(this, wrapper, messages, server, onConnect, onDisconnect);
      return;
    }
    const scopes = (this.container.getModules() as HookedModules)[SCOPES];
    if (scopes === undefined) {
      subscribeEvents.call(this, wrapper, messages, server, onConnect, onDisconnect);
      return;
    }
    if (!watched.has(this)) {
      watched.add(this);
      scopes.watch(this);
    }
    const { instance } = wrapper;
    const gateway = { name: instance.constructor.name, isStatic: wrapper.isDependencyTreeStatic() };
    // For a request-scoped gateway NestJS makes an instance per connection even where there is no method to call.
    const connect = instance.handleConnection === undefined ? undefined : onConnect;
    const disconnect = instance.handleDisconnect === undefined ? undefined : onDisconnect;
    subscribeEvents.call(
      this,
      wrapper,
      messages.map((message) => scopes.watchMessage(message, gateway, this)),
      server,
      connect && scopes.watchConnection(connect, gateway, this),
      disconnect && scopes.watchDisconnection(disconnect, gateway),
    );
  };
}
