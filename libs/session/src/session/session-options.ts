import type { ForkOptions } from '@mikro-orm/core';

import type { Ownership } from './ownership/ownership-policy.js';
import type { ResetConnections } from './pool/connection-reset.js';
import type { TransactionDefaults } from './transaction/begin-options.js';
import type { Scope } from './scope/scope.js';
import type { ScopeInfo } from './scope/scope-info.js';
import type { Unflushed } from './ownership/unflushed.js';

/** Options of one session, or of all that a SessionFactory makes. */
export interface SessionOptions {
  /** Names the scope in errors and logs. Defaults to the method that opened it. */
  readonly label?: string;
  /** Options of the fork that the session is. They add to those of the module. */
  readonly fork?: SessionForkOptions;
  /**
   * What the `fork` function of the module and your own code may want to know of the scope: a tenant, a user. It adds to
   * what is known of the scope that this one is started in.
   */
  readonly info?: ScopeInfo;
}

/**
 * MikroORM's fork options, less those that would tie a session to something outside of its scope.
 * The option `session` means row-level-security settings there, not a session in our sense.
 */
export interface SessionForkOptions extends Omit<
  ForkOptions,
  'clear' | 'useContext' | 'keepTransactionContext' | 'disableContextResolution'
> {
  /** Parameters of filters, by the name of the filter, as for MikroORM's `setFilterParams()`. */
  readonly filterParams?: Readonly<Record<string, Record<string, unknown>>>;
}

/** Options of all sessions of one connection. */
export interface SessionDefaults {
  /**
   * Fork options of every session, or how to find those of one scope: a schema per tenant, filter parameters, variables
   * of row level security. A session is refused when one of them is given without a value.
   *
   * @example
   * fork: ({ info }) => ({ schema: info['tenant'] as string })
   */
  readonly fork?: SessionForkOptions | ((scope: Scope) => SessionForkOptions);
  /**
   * Returns the object that stands for the current scope where AsyncLocalStorage knows none: SQLAlchemy's `scopefunc`. The
   * same object is the same scope, whose session lives until SessionContext.remove(). @default AsyncLocalStorage alone
   */
  readonly scopeFunc?: () => object | undefined;
  /**
   * What each transaction of a session is begun with, that of a flush and that of a job too, where its own options do not
   * say otherwise. A connection of reports is `readOnly`, and what writes there says `readOnly: false`.
   *
   * @default those of the server
   *
   * @example
   * transactions: { isolationLevel: 'repeatable read' }
   */
  readonly transactions?: TransactionDefaults;
  /** What becomes of the use of a session or an entity by others than its owner. `off` does not look. @default 'error' */
  readonly ownership?: Ownership;
  /** What becomes of unflushed changes at the good end of a scope. `error` finds changed entities too. @default 'warn' */
  readonly unflushed?: Unflushed;
  /** Milliseconds after which an open session is reported, once, with the stack that opened it. @default never */
  readonly leakAfter?: number;
  /**
   * Milliseconds after which a transaction is reported that holds its connection while no statement runs, as it does where
   * a job calls a web service between two statements. Once per place: where the session was opened, which `leakAfter`
   * makes known, else the label without its numbers. @default never
   */
  readonly heldIdleAfter?: number;
  /**
   * When a connection is made as it was before it goes back to the pool: settings, role, locks, temporary tables, LISTEN.
   * `changed` does so after a session whose statements show that they change it. What a function does inside shows to
   * nobody: `always` covers that, for a round trip each time that a connection is given back. What the option `onConnect` of
   * the pool has set is lost by it: use `onCreateConnection` of MikroORM. @default 'changed'
   */
  readonly resetConnections?: ResetConnections;
}
