import { isAsyncIterable } from '../../session/is-async-iterable.js';
import { reportEndFailure } from '../../session/scope/report-end-failure.js';
import type { LiveScope } from '../../session/scope/live-scope.js';
import type { ScopeEnding } from '../../session/scope/scope-ending.js';
import type { ScopeStorage } from '../../session/scope/scope-storage.js';
import type { TaskScopes } from '../../session/scope/task-scopes.js';
import { ByOperation } from './by-operation.js';
import { describeOperation, endingOf, type OperationNode, type ResolveInfo, rootOf } from './describe-operation.js';
import { identifyByOperation, OperationScope } from './operation-scope.js';
import { SubscriptionEvents } from './subscription-events.js';

/** Keeps the scope of each GraphQL operation, and of each event of a subscription. */
export class GraphqlOperations {
  readonly #operations = new ByOperation<OperationScope>();
  readonly #subscriptions = new ByOperation<SubscriptionEvents>();
  readonly #events = new WeakMap<object, OperationScope>();

  constructor(
    private readonly storage: ScopeStorage,
    private readonly tasks: TaskScopes,
  ) {}

  /** The scope of the running code. */
  get current(): LiveScope | undefined {
    return this.storage.current;
  }

  /** Opens a scope that the caller ends. */
  open(context: unknown, label: () => string): OperationScope {
    const scope = new OperationScope(this.storage, label);
    if (typeof context === 'object' && context !== null) {
      identifyByOperation(context, this.storage);
    }
    return scope;
  }

  /** Runs `work` in a scope, unless the code runs in it already. */
  enter<Result>(scope: OperationScope | undefined, work: () => Result): Result {
    return scope === undefined || this.storage.current === scope ? work() : this.tasks.enter(scope, work);
  }

  /** Runs `work` in a scope, which ends when it has settled. */
  runIn<Result>(scope: OperationScope, work: () => Promise<Result>): Promise<Result> {
    return this.tasks.runIn(scope, work);
  }

  /** Runs a whole operation in a scope. The result shows whether the operation has failed. */
  async execute<Result extends { readonly errors?: readonly unknown[] }>(
    scope: OperationScope,
    work: () => Promise<Result>,
  ): Promise<Result> {
    let result: Result;
    try {
      result = await this.enter(scope, work);
    } catch (error) {
      await end(scope, 'threw');
      throw error;
    }
    await end(scope, endingOf(result.errors));
    return result;
  }

  /** Returns the scope that a resolver runs in. The first resolver of a query or mutation opens it. */
  scopeOf(context: unknown, info: ResolveInfo): OperationScope {
    const event = this.eventOf(context, info);
    if (event !== undefined) {
      return event;
    }
    const known = this.#operations.get(context, info.operation);
    if (known !== undefined) {
      return known;
    }
    const scope = this.open(context, () => describeOperation(info.operation));
    this.#operations.set(context, info.operation, scope);
    return scope;
  }

  /**
   * Returns the scope of the event of a subscription that a resolver runs for. Undefined for other resolvers. The first
   * resolver of an event opens the scope.
   */
  eventOf(context: unknown, info: ResolveInfo): OperationScope | undefined {
    const subscription =
      info.operation.operation === 'subscription' ? this.#subscriptions.get(context, info.operation) : undefined;
    if (subscription === undefined) {
      return undefined;
    }
    const root = rootOf(info);
    const known = this.#events.get(root);
    if (known !== undefined) {
      return known;
    }
    const scope = this.open(context, () => describeOperation(info.operation));
    this.#events.set(root, scope);
    subscription.begin(scope);
    return scope;
  }

  /** Runs the code that starts a subscription in a scope of its own, and each event of the subscription in another. */
  async subscribe(context: unknown, info: ResolveInfo, subscribe: () => unknown): Promise<unknown> {
    const scope = this.open(context, () => describeOperation(info.operation));
    const source = await this.runIn(scope, async () => subscribe());
    if (!isAsyncIterable(source)) {
      return source;
    }
    const events = new SubscriptionEvents(source);
    this.#subscriptions.set(context, info.operation, events);
    return events;
  }

  /** Ends the scope of a query or mutation, if one of its resolvers has run. */
  async end(context: unknown, operation: OperationNode | undefined, ending: ScopeEnding): Promise<void> {
    const scope = this.#findOpen(context, operation);
    if (scope !== undefined) {
      await end(scope, ending);
    }
  }

  /** Ends the scope of an operation whose answer comes in parts, when the client has left before the last part. */
  endWhenLeft(context: unknown, operation: OperationNode | undefined): void {
    const scope = this.#findOpen(context, operation);
    if (scope === undefined) {
      return;
    }
    const leave = (): void => void endReporting(scope, 'disconnected');
    if (scope.signal.aborted) {
      leave();
    } else {
      scope.signal.addEventListener('abort', leave, { once: true });
    }
  }

  /** Ends the scopes of operations. Logs the errors, because nobody is left to throw them to. */
  async endAll(context: unknown, operations: readonly OperationNode[], ending: ScopeEnding): Promise<void> {
    for (const operation of operations) {
      const scope = this.#findOpen(context, operation);
      if (scope !== undefined) {
        await endReporting(scope, ending);
      }
    }
  }

  #findOpen(context: unknown, operation: OperationNode | undefined): OperationScope | undefined {
    const scope = operation === undefined ? undefined : this.#operations.get(context, operation);
    return scope?.state === 'open' ? scope : undefined;
  }
}

/**
 * Ends a scope. An error here fails the operation. When the operation has failed already, its client gets the first
 * errors.
 */
function end(scope: OperationScope, ending: ScopeEnding): Promise<void> {
  return ending === 'threw' ? endReporting(scope, ending) : scope.end(ending);
}

function endReporting(scope: OperationScope, ending: ScopeEnding): Promise<void> {
  return scope.end(ending).catch((error: unknown) => reportEndFailure(scope, error));
}
