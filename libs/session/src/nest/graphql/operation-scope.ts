import { type ContextId, ContextIdFactory } from '@nestjs/core';

import { LiveScope } from '../../session/scope/live-scope.js';
import type { ScopeStorage } from '../../session/scope/scope-storage.js';
import { REQUEST_CONTEXT_ID } from '../request-context-id.js';

/** The scope of one GraphQL operation, or of one event of a subscription. The code that makes the scope ends it. */
export class OperationScope extends LiveScope {
  readonly #label: () => string;
  #contextId: ContextId | undefined;

  /** @param label called late, because the name of an operation is known only when its document is parsed */
  constructor(storage: ScopeStorage, label: () => string) {
    super({ kind: 'operation', startedIn: storage.current, live: storage.live });
    this.#label = label;
  }

  override get label(): string {
    return this.#label();
  }

  /** An operation ends with its request. */
  protected override get endsWithStarter(): boolean {
    return this.startedIn?.kind === 'request' || super.endsWithStarter;
  }

  /** Gives the resolvers of this operation their own instances of request-scoped providers. */
  contextIdFor(context: object): ContextId {
    // Hides the id of the HTTP request or subscription, in which several operations may run.
    const anew: object = Object.create(context, { [REQUEST_CONTEXT_ID]: { value: undefined } });
    return (this.#contextId ??= ContextIdFactory.getByRequest(anew, []));
  }
}

/** Makes NestJS ask the current operation for the request-scoped instances of a GraphQL context. */
export function identifyByOperation(context: object, storage: ScopeStorage): void {
  if (Object.hasOwn(context, REQUEST_CONTEXT_ID) || !Object.isExtensible(context)) {
    return;
  }
  Object.defineProperty(context, REQUEST_CONTEXT_ID, {
    configurable: true,
    get: () => findOperation(storage.current)?.contextIdFor(context),
  });
}

function findOperation(scope: LiveScope | undefined): OperationScope | undefined {
  return scope === undefined || scope instanceof OperationScope ? scope : findOperation(scope.startedIn);
}
