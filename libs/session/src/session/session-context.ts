import type { EntityManager } from '@mikro-orm/core';

import type { Scope } from './scope.js';
import { NoActiveSessionError } from './session-error.js';
import type { SessionSource } from './session-source.js';

/** Knows the session of the running code: SQLAlchemy's `scoped_session`. `Em` is the EntityManager type of your driver. */
export class SessionContext<Em extends EntityManager = EntityManager> {
  readonly #source: SessionSource<Em>;

  constructor(source: SessionSource<Em>) {
    this.#source = source;
  }

  /**
   * The session of the current scope.
   *
   * @throws {NoActiveSessionError} outside of every scope
   * @throws {SessionClosedError} in code that outlived its scope
   */
  get current(): Em {
    return this.#source.current;
  }

  /** The session of the current scope, or undefined where there is none to be had. */
  get tryCurrent(): Em | undefined {
    return this.#source.storage.current?.state === 'open' ? this.#source.tryCurrent : undefined;
  }

  /**
   * The current scope, also when it has ended.
   *
   * @throws {NoActiveSessionError} outside of every scope
   */
  get scope(): Scope {
    const scope = this.tryScope;
    if (scope === undefined) {
      throw new NoActiveSessionError('SessionContext.scope');
    }
    return scope;
  }

  get tryScope(): Scope | undefined {
    return this.#source.storage.current;
  }

  /** Closes the session of the current scope and forgets it. The next use in this scope makes a new one. */
  async remove(): Promise<void> {
    await this.#source.storage.current?.remove(this.#source);
  }
}
