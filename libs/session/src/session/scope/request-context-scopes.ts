import { types } from 'node:util';

import type { EntityManager } from '@mikro-orm/core';

import { hideTransaction } from '../transaction/hide-transaction.js';
import type { ContextOptions } from './adopt-request-contexts.js';
import type { LiveScope, ScopeOptions } from './live-scope.js';
import { reportEndFailure } from './report-end-failure.js';
import { endAfter } from './run-in-scope.js';
import type { ScopeStorage } from './scope-storage.js';

/** Makes the scopes and sessions. */
interface ContextSource {
  readonly currentScope: LiveScope | undefined;
  readonly contextual: EntityManager;
  createScope(options: ScopeOptions): LiveScope;
  sessionIn(scope: LiveScope, fork: ContextOptions): EntityManager;
}

/** Opens a scope for each RequestContext that is created within a scope. */
export class RequestContextScopes {
  constructor(
    private readonly source: ContextSource,
    private readonly storage: ScopeStorage,
  ) {}

  /**
   * Runs `next` in a new scope. If `next` returns a promise, the scope ends when it settles, otherwise with the scope
   * around it.
   */
  open<Result>(next: () => Result, options: ContextOptions): Result {
    const around = this.source.currentScope;
    if (around?.state !== 'open') {
      return next();
    }
    const scope = this.source.createScope({
      kind: 'run',
      label: `RequestContext in ${around.label}`,
      startedIn: around,
    });
    let result: Result;
    try {
      result = this.#enter(scope, next, options);
    } catch (error) {
      scope.end('threw').catch((endError: unknown) => reportEndFailure(scope, endError));
      throw error;
    }
    if (types.isPromise(result)) {
      return endAfter(scope, () => result as Promise<unknown>) as Result;
    }
    if (scope.members.length === 0) {
      scope.standsFor = around;
    } else {
      endWith(around, scope);
    }
    return result;
  }

  #enter<Result>(scope: LiveScope, next: () => Result, options: ContextOptions): Result {
    return this.storage.run(scope, () =>
      hideTransaction(this.source.contextual, () => {
        if (Object.keys(options).length > 0) {
          this.source.sessionIn(scope, options);
        }
        return next();
      }),
    );
  }
}

function endWith(around: LiveScope, scope: LiveScope): void {
  around.member(scope, () => ({
    heldConnections: 0,
    heldIdleFor: 0,
    facts: undefined,
    close: (ending) => scope.end(ending),
    dropConnections: () => scope.dropConnections(),
    endForgotten: () => scope.endForgotten(),
  }));
}
