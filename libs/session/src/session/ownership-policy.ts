import { Logger } from '@nestjs/common';

import type { SessionError } from './session-error.js';
import { findUserFrame } from './user-frame.js';

export type Ownership = 'error' | 'warn' | 'off';

/** Decides what becomes of a violation of ownership: an error, or a warning once per place in the code. */
export class OwnershipPolicy {
  readonly #warned = new Set<string>();

  constructor(private readonly mode: Ownership) {}

  get isOff(): boolean {
    return this.mode === 'off';
  }

  report(error: SessionError): void {
    if (this.mode === 'error') {
      throw error;
    }
    const { message } = error;
    // One call of a session asks several times, later on with none of the caller's lines left in the stack.
    const place = findUserFrame(error.stack) ?? message;
    const isKnown = this.#warned.has(place);
    this.#warned.add(place).add(message);
    if (!isKnown) {
      new Logger('Session').warn(`${message} ${place}`);
    }
  }
}
