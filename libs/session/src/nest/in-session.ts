import 'reflect-metadata';

import { Inject, Optional } from '@nestjs/common';

import { aName, anObject, assertOptions, oneOf, type Rule } from '../session/assert-options.js';
import { SessionSetupError } from '../session/session-error.js';
import type { SessionSource } from '../session/session-source.js';
import { assertMethodTransaction, type MethodTransactionOptions } from './method-transaction.js';
import { type Propagation, runSessionMethod } from './run-session-method.js';
import { getSessionSourceToken } from './get-session-token.js';

/** Options of `@InSession()`. */
export interface InSessionOptions {
  /**
   * `join` runs the method in the current scope, or in a new one where there is none. `new` always opens one, isolated
   * from the session and the transaction of the caller. `mandatory` throws where there is no current scope, `never`
   * throws where there is one.
   *
   * @default 'join'. On a listener of @nestjs/event-emitter, the listener has a scope of its own by default
   */
  readonly propagation?: Propagation;
  /**
   * Runs the method in a transaction: commits when the method returns, and rolls back when it throws. Joins an open
   * transaction of the scope, which must have the same options. The `propagation` of the transaction can change that.
   */
  readonly transaction?: true | MethodTransactionOptions;
  /** Names the connection. @default the default connection */
  readonly contextName?: string;
}

/**
 * Decorates methods that return a promise. On other methods it is a type error, because their session would end before
 * their work.
 *
 * @typeParam Method the type of the method
 */
export type InSessionDecorator = <Method extends (...args: never[]) => Promise<unknown>>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<Method>,
) => void;

type Method = (this: unknown, ...args: unknown[]) => unknown;

const OPTIONS = 'nestjs-mikro-session:in-session';

/**
 * Runs a method of a provider in a session scope. `SessionContext.current`, an injected EntityManager and a repository
 * use its session. May stand above or below other decorators. With request-scoped injection, an `@InjectSession()` of
 * the class is the session of the caller: a method with a session of its own cannot use it.
 *
 * @throws {NoActiveSessionError} with `mandatory`, outside of every scope
 * @throws {SessionStateError} with `never`, in a scope; where the options of `transaction` do not fit the open
 * transaction
 * @throws {SessionSetupError} on an instance that NestJS did not create, or without SessionModule
 *
 * @example
 * @Cron('0 3 * * *')
 * @InSession({ transaction: true })
 * async purge(): Promise<void> { ... }
 */
export function InSession(options: InSessionOptions = {}): InSessionDecorator {
  assertInSessionOptions(options);
  const key = Symbol('session source');
  return (target, name, descriptor) => {
    const { constructor: owner } = target as { readonly constructor: { readonly name: string } };
    const method = (descriptor as PropertyDescriptor | undefined)?.value as unknown;
    if (typeof method !== 'function') {
      throw new TypeError(`Expected "${owner.name}.${String(name)}" to be a method, where it has @InSession().`);
    }
    Inject(getSessionSourceToken(options.contextName))(target, key);
    Optional()(target, key);
    const wrapper = wrap(method as Method, { name, key, options, className: owner.name });
    Object.assign(descriptor, { value: wrapper });
  };
}

/** Returns the options of the `@InSession()` of a method. */
export function findInSessionOptions(method: unknown): InSessionOptions | undefined {
  return typeof method === 'function' ? (Reflect.getMetadata(OPTIONS, method) as InSessionOptions) : undefined;
}

interface Wrapping {
  readonly name: string | symbol;
  readonly className: string;
  /** The property in which NestJS injects the SessionSource. */
  readonly key: symbol;
  readonly options: InSessionOptions;
}

function wrap(method: Method, { name, className, key, options }: Wrapping): Method {
  // @Transactional() of MikroORM accepts only an async function.
  const wrapper = async function (this: unknown, ...args: unknown[]): Promise<unknown> {
    const source = (this as Partial<Record<symbol, SessionSource>> | undefined)?.[key];
    if (source === undefined) {
      throw new SessionSetupError(missingSource(className, String(name), options.contextName));
    }
    const label = `${(this as object).constructor.name}.${String(name)}`;
    return runSessionMethod(source, { ...options, label }, async () => method.apply(this, args));
  };
  keepMembers(method, wrapper);
  Reflect.defineMetadata(OPTIONS, options, wrapper);
  return wrapper;
}

const rules: Record<keyof InSessionOptions, Rule> = {
  propagation: oneOf('join', 'new', 'mandatory', 'never'),
  transaction: {
    what: 'true or the options of a transaction',
    holds: (value) => value === true || anObject.holds(value),
  },
  contextName: aName,
};

function assertInSessionOptions(options: InSessionOptions): void {
  assertOptions('@InSession()', options, rules);
  const { propagation, transaction } = options;
  if (transaction !== undefined && transaction !== true) {
    assertMethodTransaction(transaction);
  }
  if (propagation === 'never' && transaction !== undefined) {
    throw new TypeError("@InSession({ propagation: 'never' }) has no session, and so no transaction.");
  }
  if (propagation === 'new' && typeof transaction === 'object' && transaction.propagation === 'mandatory') {
    throw new TypeError("@InSession({ propagation: 'new' }) has a session of its own, and no transaction to join.");
  }
}

/**
 * Copies the metadata of other decorators, the name and the length of a method. BullMQ reads the length to decide
 * whether to pass a signal.
 */
function keepMembers(from: Method, to: Method): Method {
  for (const key of Reflect.getOwnMetadataKeys(from) as unknown[]) {
    Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, from), to);
  }
  const {
    prototype: _,
    arguments: __,
    caller: ___,
    ...members
  } = Object.getOwnPropertyDescriptors(from) as Record<string | symbol, PropertyDescriptor>;
  return Object.defineProperties(to, members);
}

function missingSource(className: string, name: string, contextName: string | undefined): string {
  const module = contextName === undefined ? 'SessionModule.forRoot()' : `SessionModule for "${contextName}"`;
  return (
    `"${className}.${name}" has @InSession(), but was called on an object that no session was provided to. ` +
    `List "${className}" in the \`providers\` of a module, so that NestJS makes it, and add ${module} to the imports. ` +
    `If both are there, "${className}" is request-scoped, because it or a provider that it injects has an ` +
    '@InjectSession(), and its caller uses the one object outside of all requests, in which NestJS injects nothing: ' +
    'nest-commander does so. Use SessionContext.current there instead of @InjectSession(), or the option ' +
    "`injection: 'contextual'` of SessionModule."
  );
}
