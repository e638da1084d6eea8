import { Logger } from '@nestjs/common';

import type { OnMisuse } from '../scope/misuse.js';
import { findUserFrame } from '../find-user-frame.js';
import type { LiveScope } from '../scope/live-scope.js';
import { type SessionError, SessionOwnershipError } from '../session-error.js';
import { mayUse } from './task-rule.js';

/** What happens on a violation of ownership. `warn` logs once per place in the code. `off` does not check. */
export type Ownership = 'error' | 'warn' | 'off';

const MESSAGES = 1000;

/** Checks who uses a session. Turns a violation of ownership into an error, or into one warning per place in the code. */
export class OwnershipPolicy {
  readonly #places = new Set<string>();
  /**
   * The latest messages. Only the latest are kept: messages name scopes, and a long-running process has any number of
   * scopes.
   */
  readonly #messages = new Set<string>();

  constructor(
    private readonly mode: Ownership,
    private readonly onMisuse: OnMisuse,
  ) {}

  get isOff(): boolean {
    return this.mode === 'off';
  }

  /**
   * Called before every use of a session.
   *
   * @param user the scope of the code that uses the session. Undefined outside of every scope
   * @throws {SessionOwnershipError} where that code is of another task than the session
   */
  assertOwner(user: LiveScope | undefined, scope: LiveScope): void {
    if (user !== scope && !this.isOff && !mayUse(user, scope)) {
      this.report(new SessionOwnershipError(scope.label, user), scope.label);
    }
  }

  /** @param scope the label of the scope that owns the session or entity */
  report(error: SessionError, scope: string): void {
    this.onMisuse({ code: error.code, scope, message: error.message });
    if (this.mode === 'error') {
      throw error;
    }
    const { message } = error;
    // One call of a session checks several times. The later checks have no line of the user left in their stack.
    const place = findUserFrame(error.stack);
    const isKnown = place === undefined ? this.#messages.has(message) : this.#places.has(place);
    this.#remember(message, place);
    if (!isKnown) {
      new Logger('Session').warn(`${message} ${place ?? ''}`);
    }
  }

  #remember(message: string, place: string | undefined): void {
    if (place !== undefined) {
      this.#places.add(place);
    }
    this.#messages.add(message);
    const [oldest] = this.#messages;
    if (this.#messages.size > MESSAGES && oldest !== undefined) {
      this.#messages.delete(oldest);
    }
  }
}
