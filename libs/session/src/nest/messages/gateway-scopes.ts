import type { ModulesContainer } from '@nestjs/core';
import { isObservable, of } from 'rxjs';

import { ClientScopes } from './client-scopes.js';
import {
  type GatewayController,
  type GatewayHandler,
  type GatewayMessage,
  installGatewayHook,
} from './install-gateway-hook.js';
import type { MessageScope } from './message-scope.js';
import { END_FAILURE, type MessageScopes } from './message-scopes.js';
import type { ScopedGateways } from './scoped-gateways.js';

const EXCEPTION = of({ event: 'exception', data: END_FAILURE });
// Seam: nestjs/gateway-metadata
const GATEWAY_METADATA = 'websockets:is_gateway';

/** Opens a scope for each message to a WebSocket gateway, and for each connection and disconnection it handles. */
export class GatewayScopes {
  readonly #messages: MessageScopes;
  readonly #clients = new ClientScopes<MessageScope>();
  readonly #scoped: ScopedGateways;

  constructor(messages: MessageScopes, scoped: ScopedGateways) {
    this.#messages = messages;
    this.#scoped = scoped;
  }

  /** Changes the gateways of an application. Imports and changes nothing when it has none. */
  async install(modules: ModulesContainer): Promise<this> {
    if (hasGateway(modules)) {
      await installGatewayHook(modules, this);
    }
    return this;
  }

  checkInstance(gateway: object): void {
    this.#scoped.assertFilled(gateway);
  }

  /** The scope of the message that the running code handles. */
  get current(): MessageScope | undefined {
    return this.#messages.current;
  }

  /** Opens a scope around a handler of messages. */
  watchMessage(message: GatewayMessage, gateway: string, controller: GatewayController): GatewayMessage {
    const label = `message "${String(message.message)}" of ${gateway}`;
    const handle = this.#inScope(label, message.callback, controller);
    return { ...message, callback: handle };
  }

  /** Opens a scope around `handleConnection`. */
  watchConnection(handler: GatewayHandler, gateway: string, controller: GatewayController): GatewayHandler {
    return this.#inScope(`connection of ${gateway}`, ignoreResult(handler), controller);
  }

  /** Opens a scope around `handleDisconnect`, whose client is gone by then: its signal does not abort. */
  watchDisconnection(handler: GatewayHandler, gateway: string): GatewayHandler {
    return this.#inScope(`disconnection of ${gateway}`, ignoreResult(handler));
  }

  #inScope(label: string, handler: GatewayHandler, controller?: GatewayController): GatewayHandler {
    return (client, ...args) => {
      const adapter = controller?.config.getIoAdapter();
      const ofClient = adapter && this.#clients.of(client, (onGone) => adapter.bindClientDisconnect?.(client, onGone));
      const scope = this.#messages.open({ label, origin: { client, data: args[0] }, ofClient });
      return this.#messages.answer(
        scope,
        async () => {
          const result = await handler(client, ...args);
          // The client is gone: the adapter would never subscribe to the result.
          return scope.isAbandoned && isObservable(result) ? undefined : result;
        },
        EXCEPTION,
      );
    };
  }
}

/** NestJS ignores the results of these handlers, even streams. */
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
