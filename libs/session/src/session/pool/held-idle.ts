import { Logger } from '@nestjs/common';

import type { OnMisuse } from '../scope/misuse.js';
import type { LeaseOwner } from './begun-transaction.js';

/** Reports, once per place, the open transactions that hold a connection while no statement runs. */
export class HeldIdle {
  readonly #reported = new Set<string>();

  /** @param findPlace finds where the session of a scope was opened, when its stack was taken */
  constructor(
    private readonly findPlace: (owner: LeaseOwner) => string | undefined,
    private readonly onMisuse: OnMisuse,
  ) {}

  report(owner: LeaseOwner, milliseconds: number): void {
    const place = this.findPlace(owner);
    // Jobs and requests of one kind differ by their numbers.
    const key = place ?? owner.label.replaceAll(/\d+/g, '#');
    if (this.#reported.has(key)) {
      return;
    }
    this.#reported.add(key);
    const where = place === undefined ? '' : ` Its session was opened ${place}.`;
    const message =
      `The transaction of "${owner.label}" has held its connection for ${Math.round(milliseconds)} ms while no statement ` +
      `ran.${where} Do what waits for something else before the transaction, or after it.`;
    this.onMisuse({ code: 'HELD_IDLE', scope: owner.label, message });
    new Logger('Session').warn(message);
  }
}
