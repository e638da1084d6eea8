import { Logger } from '@nestjs/common';

const COPIES = Symbol.for('nestjs-mikro-session/copies');

type Shared = typeof globalThis & { [COPIES]?: Set<string> };

/** The paths of the copies of this library that the process has loaded. All copies share this set. */
function loadedCopies(): Set<string> {
  return ((globalThis as Shared)[COPIES] ??= new Set());
}

/** Registers this copy. A bundle has no path, and only one copy. */
export function announceCopy(place: string | undefined): void {
  if (place !== undefined) {
    loadedCopies().add(new URL('..', place).href);
  }
}

/**
 * Warns where there is another copy: the decorators of one copy ask for other tokens than the module of the other
 * provides.
 */
export function warnOfCopies(): void {
  const copies = [...loadedCopies()];
  if (copies.length > 1) {
    new Logger('Session').warn(
      `There are ${copies.length} copies of nestjs-mikro-session: ${copies.join(', ')}. ` +
        'One does not know the sessions of another. Install it once: "npm ls nestjs-mikro-session" shows the copies.',
    );
  }
}
