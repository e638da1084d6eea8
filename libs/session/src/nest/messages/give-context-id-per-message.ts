import type { ContextId } from '@nestjs/core';

import { REQUEST_CONTEXT_ID } from '../request-context-id.js';
import type { MessageScope } from './message-scope.js';

const CONTEXT_ID = Symbol('context id');

type Scoped = MessageScope & { [CONTEXT_ID]?: ContextId };

/**
 * Hands a client's context id, which NestJS has made for the current message, over to the scope of that message. Left
 * on the client it would stay for as long as the client does, and all of its messages would share their request-scoped
 * providers, with the first one's session. `ContextIdFactory.getByRequest(client)` goes on to find it.
 */
export function giveContextIdPerMessage(client: object, currentScope: () => Scoped | undefined): void {
  const scope = currentScope();
  const made = Object.getOwnPropertyDescriptor(client, REQUEST_CONTEXT_ID);
  if (scope === undefined || made === undefined) {
    return;
  }
  scope[CONTEXT_ID] = made.value as ContextId;
  Object.defineProperty(client, REQUEST_CONTEXT_ID, {
    get: () => currentScope()?.[CONTEXT_ID],
    enumerable: false,
    configurable: true,
  });
}
