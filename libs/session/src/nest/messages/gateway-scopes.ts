import type { ModulesContainer } from '@nestjs/core';
import { isObservable, of } from 'rxjs';

import { ClientScopes } from './client-scopes.js';
import { giveContextIdPerMessage } from './give-context-id-per-message.js';
import {
  type Gateway,
  type GatewayController,
  type GatewayHandler,
  type GatewayMessage,
  installGatewayHook,
} from './install-gateway-hook.js';
import { watchGatewayPipeline } from './gateway-pipeline.js';
import type { MessageScope } from './message-scope.js';
import { END_FAILURE, type MessageScopes } from './message-scopes.js';

const EXCEPTION = of({ event: 'exception', data: END_FAILURE });
// Seam: nestjs/gateway-metadata
const GATEWAY_METADATA = 'websockets:is_gateway';

/** Opens a scope for each message to a WebSocket gateway, and for each connection and disconnection it handles. */
export class GatewayScopes {
  readonly #messages: MessageScopes;
  readonly #clients = new ClientScopes<MessageScope>();

  constructor(messages: MessageScopes) {
    this.#messages = messages;
  }

  /** Imports and changes nothing when the application has no gateway. */
  static async install(modules: ModulesContainer, messages: MessageScopes): Promise<GatewayScopes> {
    const scopes = new GatewayScopes(messages);
    if (hasGateway(modules)) {
      await installGatewayHook(modules, scopes);
    }
    return scopes;
  }

  watch(controller: GatewayController): void {
    watchGatewayPipeline(controller.contextCreator, () => this.#messages.current);
  }

  /** Opens a scope around a handler of messages. */
  watchMessage(message: GatewayMessage, gateway: Gateway, controller: GatewayController): GatewayMessage {
    const label = `message "${String(message.message)}" of ${gateway.name}`;
    const handle = this.#scoped(label, message.callback, gateway, controller);
    return { ...message, callback: handle };
  }

  /** Opens a scope around `handleConnection`. */
  watchConnection(handler: GatewayHandler, gateway: Gateway, controller: GatewayController): GatewayHandler {
    return this.#scoped(`connection of ${gateway.name}`, ignoreResult(handler), gateway, controller);
  }

  /** Opens a scope around `handleDisconnect`, whose client is gone by then: its signal does not abort. */
  watchDisconnection(handler: GatewayHandler, gateway: Gateway): GatewayHandler {
    return this.#scoped(`disconnection of ${gateway.name}`, ignoreResult(handler), gateway);
  }

  #scoped(label: string, handler: GatewayHandler, gateway: Gateway, controller?: GatewayController): GatewayHandler {
    return (client, ...args) => {
      const adapter = controller?.config.getIoAdapter();
      const ofClient = adapter && this.#clients.of(client, (onGone) => adapter.bindClientDisconnect?.(client, onGone));
      const scope = this.#messages.open({ label, origin: { client, data: args[0] }, ofClient });
      return this.#messages.answer(
        scope,
        async () => {
          const result = await this.#call(handler, client, args, gateway);
          // The adapter has stopped listening to this client: it would never subscribe.
          return scope.isAbandoned && isObservable(result) ? undefined : result;
        },
        EXCEPTION,
      );
    };
  }

  #call(handler: GatewayHandler, client: object, args: unknown[], { isStatic }: Gateway): unknown {
    const result = handler(client, ...args);
    if (!isStatic) {
      giveContextIdPerMessage(client, () => this.#messages.current);
    }
    return result;
  }
}

/** NestJS does nothing with what these handlers return, streams included. */
function ignoreResult(handler: GatewayHandler): GatewayHandler {
  return async (client, ...args) => {
    await handler(client, ...args);
  };
}

function hasGateway(modules: ModulesContainer): boolean {
  return [...modules.values()].some(({ providers }) =>
    [...providers.values()].some(
      ({ metatype }) => typeof metatype === 'function' && Reflect.hasMetadata(GATEWAY_METADATA, metatype),
    ),
  );
}
