import type { ForkOptions } from '@mikro-orm/core';

import type { Ownership } from './ownership/ownership-policy.js';
import type { ResetConnections } from './pool/connection-reset.js';
import type { TransactionDefaults } from './transaction/begin-options.js';
import type { Scope } from './scope/scope.js';
import type { ScopeInfo } from './scope/scope-info.js';
import type { Unflushed } from './ownership/unflushed.js';

/** Options of one session, or of all sessions of a SessionFactory. */
export interface SessionOptions {
  /** Names the scope in errors and logs. Defaults to the method that opened it. */
  readonly label?: string;
  /** Fork options of MikroORM for the session. They add to those of the module. */
  readonly fork?: SessionForkOptions;
  /**
   * Data about the scope for the `fork` function of the module and for your own code: a tenant, a user. It adds to the
   * `info` of the scope that this one is started in.
   */
  readonly info?: ScopeInfo;
}

/**
 * MikroORM's fork options, without those that would tie a session to something outside of its scope. MikroORM's option
 * `session` means settings of row-level security, not a session of this library.
 */
export interface SessionForkOptions extends Omit<
  ForkOptions,
  'clear' | 'useContext' | 'keepTransactionContext' | 'disableContextResolution'
> {
  /** The parameters of each filter by its name, as for MikroORM's `setFilterParams()`. */
  readonly filterParams?: Readonly<Record<string, Record<string, unknown>>>;
}

/** Options of all sessions of one connection. */
export interface SessionDefaults {
  /**
   * Fork options of every session, or a function that returns those of one scope: a schema per tenant, filter
   * parameters, variables of row-level security. An option without a value is an error, since it may be a forgotten
   * tenant.
   *
   * @example
   * fork: ({ info }) => ({ schema: info['tenant'] as string })
   */
  readonly fork?: SessionForkOptions | ((scope: Scope) => SessionForkOptions);
  /**
   * Returns the object that stands for the current scope where AsyncLocalStorage has none, as SQLAlchemy's `scopefunc`
   * does. The same object means the same scope. Its session lives until SessionContext.remove().
   *
   * @default AsyncLocalStorage alone
   */
  readonly scopeFunc?: () => object | undefined;
  /**
   * Default options of every transaction of a session, also of those that a flush or a job begins. The own options of a
   * transaction win: with `readOnly: true` here, a transaction that writes says `readOnly: false`.
   *
   * @default those of the server
   *
   * @example
   * transactions: { isolationLevel: 'repeatable read' }
   */
  readonly transactions?: TransactionDefaults;
  /** What happens when a task uses a session or an entity of another task. `off` does not check. @default 'error' */
  readonly ownership?: Ownership;
  /**
   * What happens when a scope ends without an error and with unflushed changes. Only `error` also finds entities that
   * were changed but not persisted again.
   *
   * @default 'warn'
   */
  readonly unflushed?: Unflushed;
  /**
   * Milliseconds after which the logger warns of an open session, once, with the stack that opened it.
   *
   * @default never
   */
  readonly leakAfter?: number;
  /**
   * Milliseconds after which the logger warns of a transaction that holds its connection while no statement runs, for
   * example because a job calls a web service between two statements. It warns once per place. The place is the line
   * that opened the session, with `leakAfter`, or else the label without its numbers.
   *
   * @default never
   */
  readonly heldIdleAfter?: number;
  /**
   * When a connection is reset before it goes back to the pool: settings, role, locks, temporary tables, LISTEN.
   * `changed` resets it after a session whose statements changed the connection. It cannot see what a function does
   * inside. `always` covers that too, and takes a round trip each time that a connection is given back. A reset loses
   * what the option `onConnect` of the pool has set: use `onCreateConnection` of MikroORM.
   *
   * @default 'changed'
   */
  readonly resetConnections?: ResetConnections;
}
