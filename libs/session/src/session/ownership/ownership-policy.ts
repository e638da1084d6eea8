import { Logger } from '@nestjs/common';

import type { OnMisuse } from '../scope/misuse.js';
import type { SessionError } from '../session-error.js';
import { findUserFrame } from '../find-user-frame.js';

export type Ownership = 'error' | 'warn' | 'off';

const MESSAGES = 1000;

/** Decides what becomes of a violation of ownership: an error, or a warning once per place in the code. */
export class OwnershipPolicy {
  readonly #places = new Set<string>();
  /** The latest messages. They name scopes, of which a long life sees any number. */
  readonly #messages = new Set<string>();

  constructor(
    private readonly mode: Ownership,
    private readonly onMisuse: OnMisuse,
  ) {}

  get isOff(): boolean {
    return this.mode === 'off';
  }

  /** @param scope the label of the scope whose session or entity it is */
  report(error: SessionError, scope: string): void {
    this.onMisuse({ code: error.code, scope, message: error.message });
    if (this.mode === 'error') {
      throw error;
    }
    const { message } = error;
    // One call of a session asks several times, later on with none of the caller's lines left in the stack.
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
