import { ContextIdFactory } from '@nestjs/core';

import { findInSessionOptions } from '../in-session.js';
import type { UpstreamClass } from '../upstream-class.js';
import { startsIn } from './starts-in.js';
import type { SessionScopes } from '../session-scopes.js';

type Listener = (...args: unknown[]) => unknown;
type Members = Readonly<Record<string, unknown>>;

/** The members that are used here of the class that registers the listeners of @nestjs/event-emitter. */
export interface EventSubscribersLoader {
  readonly options: { readonly inheritRequestContextId?: boolean };
  subscribeToEventIfListener(instance: object, key: string, isRequestScoped: boolean, module: unknown): void;
  getRegisterListenerMethodBasedOn(options: unknown): (event: unknown, listener: Listener, options: unknown) => unknown;
  wrapFunctionInTryCatchBlocks(
    instance: object,
    key: string,
    args: readonly unknown[],
    options: unknown,
  ): Promise<unknown>;
}

// Seam: nestjs/event-emitter
export const EVENT_SUBSCRIBERS_LOADER: UpstreamClass = {
  seam: 'nestjs/event-emitter',
  of: '@nestjs/event-emitter',
  className: 'EventSubscribersLoader',
  methods: ['subscribeToEventIfListener', 'getRegisterListenerMethodBasedOn', 'wrapFunctionInTryCatchBlocks'],
  what: 'the listeners of @nestjs/event-emitter',
};

/**
 * Opens a scope around each call of a listener. A request-scoped listener is created inside the scope. The block that
 * logs the errors of a listener is outside of the scope, so that the scope sees the errors.
 */
export function scopeListeners(loader: EventSubscribersLoader, scopes: SessionScopes): void {
  const subscribe = loader.subscribeToEventIfListener;
  loader.subscribeToEventIfListener = (instance, key, isRequestScoped, module) => {
    const propagation = findInSessionOptions((instance as Members)[key])?.propagation;
    const inherits = isRequestScoped && loader.options.inheritRequestContextId === true;

    function run(event: unknown, listener: Listener, args: readonly unknown[]): Promise<unknown> {
      const startedIn = scopes.current;
      const isInherited = inherits && carriesContext(args);
      const work = async (): Promise<unknown> => listener(...args);
      if (startsIn(isInherited ? 'join' : propagation, isRequestScoped && startedIn?.state !== 'open') === 'emitter') {
        return work();
      }
      const label = `event "${describe(event)}" in ${instance.constructor.name}.${key}`;
      return scopes.run({ kind: 'event', label, startedIn, origin: { event, payload: args } }, work);
    }

    const perListener = Object.assign(Object.create(loader) as EventSubscribersLoader, {
      getRegisterListenerMethodBasedOn: (options) => {
        const register = loader.getRegisterListenerMethodBasedOn(options);
        return (event, listener, rest) => {
          const call = (...args: unknown[]): Promise<unknown> => run(event, listener, args);
          return register(event, (...args) => loader.wrapFunctionInTryCatchBlocks({ call }, 'call', args, rest), rest);
        };
      },
      wrapFunctionInTryCatchBlocks: async (target, method, args) =>
        (target as Record<string, Listener>)[method]?.(...args),
    } satisfies Partial<EventSubscribersLoader>);
    subscribe.call(perListener, instance, key, isRequestScoped, module);
  };
}

/** Whether a payload carries the request-scoped providers of its request. They have the session of that request. */
function carriesContext(args: readonly unknown[]): boolean {
  const payload = (args.length > 1 ? args : args[0]) as Record<string, unknown>;
  return ContextIdFactory.getByRequest(payload) === ContextIdFactory.getByRequest(payload);
}

function describe(event: unknown): string {
  return Array.isArray(event) ? event.map(String).join('.') : String(event);
}
