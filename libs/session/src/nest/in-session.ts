import 'reflect-metadata';

import { Inject, Optional } from '@nestjs/common';

import { aName, anObject, assertOptions, oneOf, type Rule } from '../session/assert-options.js';
import { SessionSetupError } from '../session/session-error.js';
import type { SessionSource } from '../session/session-source.js';
import { assertMethodTransaction, type MethodTransactionOptions } from './method-transaction.js';
import { type Propagation, runSessionMethod } from './run-session-method.js';
import { getSessionSourceToken } from './get-session-token.js';

/** Options of one `@InSession()`. */
export interface InSessionOptions {
  /**
   * `join` runs the method in the current scope, or in a new one where there is none. `new` always opens one, isolated
   * from the session and the transaction of the caller. `mandatory` wants a current scope, `never` wants none.
   *
   * @default 'join', on a listener of @nestjs/event-emitter the scope of the call: there 'join' has to be asked for
   */
  readonly propagation?: Propagation;
  /**
   * Commits when the method returns and rolls back when it throws. Joins a transaction that the scope has open, which
   * must have been begun with the same options, unless its own `propagation` says otherwise.
   */
  readonly transaction?: true | MethodTransactionOptions;
  /** Names the connection. @default the default connection */
  readonly contextName?: string;
}

/** Decorates methods that return a promise. On others it is a type error: their session would end before their work. */
export type InSessionDecorator = <Method extends (...args: never[]) => Promise<unknown>>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<Method>,
) => void;

type Method = (this: unknown, ...args: unknown[]) => unknown;

const OPTIONS = 'nestjs-mikro-session:in-session';

/**
 * Runs a method of a provider in a session scope, which `SessionContext.current`, an injected EntityManager and a
 * repository reach. Stands above or below other decorators alike. In a method with a session of its own, an
 * `@InjectSession()` of request-scoped injection is still that of the caller, and is refused.
 *
 * @throws {NoActiveSessionError} with `mandatory`, outside of every scope
 * @throws {SessionStateError} with `never`, in a scope; where `transaction` does not allow the transaction of the scope
 * @throws {SessionSetupError} on an instance that NestJS did not make, or without SessionModule
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

/** Returns the options that a method was decorated with. */
export function findInSessionOptions(method: unknown): InSessionOptions | undefined {
  return typeof method === 'function' ? (Reflect.getMetadata(OPTIONS, method) as InSessionOptions) : undefined;
}

interface Wrapping {
  readonly name: string | symbol;
  readonly className: string;
  /** Where NestJS puts the source of the sessions into the instance. */
  readonly key: symbol;
  readonly options: InSessionOptions;
}

function wrap(method: Method, { name, className, key, options }: Wrapping): Method {
  // @Transactional() of MikroORM takes nothing but an async function.
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

/** Copies what decorators below have put on a method: name and length too. BullMQ looks at the length for a signal. */
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
    `List "${className}" in the \`providers\` of a module, so that NestJS makes it, and add ${module} to the imports.`
  );
}
