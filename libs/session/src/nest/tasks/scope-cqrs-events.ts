import { Observable } from 'rxjs';

import { findInSessionOptions } from '../in-session.js';
import type { UpstreamClass } from '../upstream-class.js';
import { startsIn } from './starts-in.js';
import type { SessionScopes } from '../session-scopes.js';

interface HandlerInstance {
  handle(event: object): unknown;
}

/** NestJS's wrapper of a class with `@EventsHandler()`. */
interface HandlerWrapper {
  readonly metatype: { readonly name: string; readonly prototype?: Partial<HandlerInstance> };
  readonly instance: HandlerInstance;
  isDependencyTreeStatic(): boolean;
}

interface Resolver {
  resolve(type: unknown, ...rest: unknown[]): Promise<HandlerInstance>;
}

interface CommandExecutor {
  execute(command: object): Promise<unknown>;
}

type Saga = (events: Observable<object>) => unknown;

/** The members that are used here of the class of @nestjs/cqrs that passes events to handlers and sagas. */
export interface EventBus extends Observable<object> {
  readonly moduleRef: Resolver;
  readonly commandBus: CommandExecutor;
  bind(handler: HandlerWrapper, id: string): void;
  registerSaga(saga: Saga): void;
}

// Seam: nestjs/cqrs
export const EVENT_BUS: UpstreamClass = {
  seam: 'nestjs/cqrs',
  of: '@nestjs/cqrs',
  className: 'EventBus',
  beside: 'UnhandledExceptionBus',
  methods: ['bind', 'registerSaga', 'publishAll'],
  what: 'the event handlers and sagas of @nestjs/cqrs',
};

/**
 * Opens a scope for each call of an event handler, and for each command of a saga. A request-scoped handler is created
 * inside the scope. Handlers of commands and queries get no scope: they run in the scope of the caller.
 */
export function scopeCqrsEvents(bus: EventBus, scopes: SessionScopes): void {
  const { bind, registerSaga } = bus;
  bus.bind = (handler, id) => {
    const isPerCall = !handler.isDependencyTreeStatic();
    const run = (event: object, work: () => Promise<unknown>): Promise<unknown> =>
      runHandler(scopes, { handler, event, isPerCall }, work);
    const instance: HandlerInstance = { handle: (event) => run(event, async () => handler.instance.handle(event)) };
    const resolve = async (...args: Parameters<Resolver['resolve']>): Promise<HandlerInstance> => ({
      handle: (event) => run(event, async () => (await bus.moduleRef.resolve(...args)).handle(event)),
    });
    const perHandler = Object.create(bus, { moduleRef: { value: { resolve } } }) as EventBus;
    bind.call(
      perHandler,
      isPerCall ? handler : (Object.create(handler, { instance: { value: instance } }) as HandlerWrapper),
      id,
    );
  };
  bus.registerSaga = (saga) => {
    const execute = (command: object): Promise<unknown> =>
      scopes.run(
        { kind: 'event', label: `saga "${saga.name}" with ${nameOf(command)}`, startedIn: scopes.current },
        async () => bus.commandBus.execute(command),
      );
    const perSaga = Object.create(bus, { commandBus: { value: { execute } } }) as EventBus;
    const scoped: Saga = () => saga(eventsInScopes(bus, saga.name, scopes));
    registerSaga.call(perSaga, Object.defineProperty(scoped, 'name', { value: saga.name }));
  };
}

interface HandlerCall {
  readonly handler: HandlerWrapper;
  readonly event: object;
  readonly isPerCall: boolean;
}

function runHandler(
  scopes: SessionScopes,
  { handler: { metatype }, event, isPerCall }: HandlerCall,
  work: () => Promise<unknown>,
): Promise<unknown> {
  const startedIn = scopes.current;
  const isInherited = isPerCall && carriesContext(event);
  const propagation = isInherited ? 'join' : findInSessionOptions(metatype.prototype?.handle)?.propagation;
  if (startsIn(propagation, isPerCall && startedIn?.state !== 'open') === 'emitter') {
    return work();
  }
  const name = nameOf(event);
  const label = `event "${name}" in ${metatype.name}.handle`;
  return scopes.run({ kind: 'event', label, startedIn, origin: { event: name, payload: event } }, work);
}

/** Whether an event carries the request-scoped providers of its publisher. They have the session of the publisher. */
function carriesContext(event: object): boolean {
  return Object.getOwnPropertySymbols(event).some(({ description }) => description === 'ASYNC_CONTEXT_ATTRIBUTE');
}

/**
 * The operators of a saga run for each event in a scope that ends with them: they only make commands, and use no
 * session.
 */
function eventsInScopes(bus: EventBus, saga: string, scopes: SessionScopes): Observable<object> {
  return new Observable((subscriber) =>
    bus.subscribe({
      next: (event) => {
        const label = `saga "${saga}" on ${nameOf(event)}`;
        scopes
          .run({ kind: 'event', label, startedIn: scopes.current }, async () => subscriber.next(event))
          .catch((error: unknown) => subscriber.error(error));
      },
      error: (error) => subscriber.error(error),
      complete: () => subscriber.complete(),
    }),
  );
}

function nameOf(message: object): string {
  return message.constructor.name;
}
