import type { ForkOptions } from '@mikro-orm/core';

import type { Scope } from './scope.js';

/** Options of one session, or of all that a SessionFactory makes. */
export interface SessionOptions {
  /** Names the scope in errors and logs. Defaults to the method that opened it. */
  readonly label?: string;
  /** Options of the fork that the session is. They add to those of the module. */
  readonly fork?: SessionForkOptions;
  /** What the `fork` function of the module and your own code may want to know of the scope: a tenant, a user. */
  readonly info?: Readonly<Record<string, unknown>>;
}

/**
 * MikroORM's fork options, less those that would tie a session to something outside of its scope.
 * The option `session` means row-level-security settings there, not a session in our sense.
 */
export type SessionForkOptions = Omit<
  ForkOptions,
  'clear' | 'useContext' | 'keepTransactionContext' | 'disableContextResolution'
>;

export interface SessionDefaults {
  readonly fork?: SessionForkOptions | ((scope: Scope) => SessionForkOptions);
}
