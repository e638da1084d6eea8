import { Logger } from '@nestjs/common';

import type { SessionError } from './session-error.js';

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
    const place = findPlace(error);
    if (!this.#warned.has(place)) {
      this.#warned.add(place);
      new Logger('Session').warn(`${error.message} ${place}`);
    }
  }
}

/** Gives the first line of the stack that is neither MikroORM's nor ours. */
function findPlace({ stack = '' }: Error): string {
  const lines = stack.split('\n').slice(1);
  const ours = /[\\/](@mikro-orm|nestjs-mikro-session|libs[\\/]session[\\/](src|dist))[\\/]/;
  return (lines.find((line) => !ours.test(line)) ?? lines[0] ?? '').trim();
}
