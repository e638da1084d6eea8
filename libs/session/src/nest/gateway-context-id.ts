import type { ContextId } from '@nestjs/core';
import { REQUEST_CONTEXT_ID } from '@nestjs/core/internal';

import type { MessageScope } from './message-scope.js';

const CONTEXT_ID = Symbol('context id');

type Scoped = MessageScope & { [CONTEXT_ID]?: ContextId };

/**
 * Makes NestJS give the next message of a client request-scoped providers of its own. It keeps one context id on the
 * client for as long as it is connected, so that all of its messages would share them, and the first one's session.
 */
export function forgetContextId(client: object): void {
  Reflect.deleteProperty(client, REQUEST_CONTEXT_ID);
}

/** Makes `ContextIdFactory.getByRequest(client)` answer with the context id of the message that asks. */
export function keepContextId(client: object, currentScope: () => MessageScope | undefined): void {
  const scope: Scoped | undefined = currentScope();
  const contextId = Reflect.get(client, REQUEST_CONTEXT_ID) as ContextId | undefined;
  if (scope === undefined || contextId === undefined) {
    return;
  }
  scope[CONTEXT_ID] = contextId;
  Object.defineProperty(client, REQUEST_CONTEXT_ID, {
    get: () => contextIdOf(currentScope()),
    enumerable: false,
    configurable: true,
  });
}

function contextIdOf(scope: Scoped | undefined): ContextId | undefined {
  return scope?.[CONTEXT_ID];
}
