import { Logger } from '@nestjs/common';

import type { OnMisuse } from '../scope/misuse.js';
import type { LeaseOwner } from './begun-transaction.js';

/** Warns, once per place, of open transactions that hold a connection while no statement runs. */
export class HeldIdle {
  readonly #reported = new Set<string>();

  /** @param findPlace returns the line that opened the session of a scope, if its stack was recorded */
  constructor(
    private readonly findPlace: (owner: LeaseOwner) => string | undefined,
    private readonly onMisuse: OnMisuse,
  ) {}

  report(owner: LeaseOwner, milliseconds: number): void {
    const place = this.findPlace(owner);
    // Labels of jobs and requests of one kind differ only in numbers.
    const key = place ?? owner.label.replaceAll(/\d+/g, '#');
    if (this.#reported.has(key)) {
      return;
    }
    this.#reported.add(key);
    const where = place === undefined ? '' : ` Its session was opened ${place}.`;
    const message =
      `The transaction of "${owner.label}" has held its connection for ${Math.round(milliseconds)} ms while no statement ` +
      `ran.${where} Call other services before the transaction, or after it.`;
    this.onMisuse({ code: 'HELD_IDLE', scope: owner.label, message });
    new Logger('Session').warn(message);
  }
}
