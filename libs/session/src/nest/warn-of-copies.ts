import { Logger } from '@nestjs/common';

const COPIES = Symbol.for('nestjs-mikro-session/copies');

type Shared = typeof globalThis & { [COPIES]?: Set<string> };

/** The copies of this package that the process has loaded, each by its place. It is all that they share. */
function loadedCopies(): Set<string> {
  return ((globalThis as Shared)[COPIES] ??= new Set());
}

/** Lets other copies know of this one. A bundle has no place, and one copy. */
export function announceCopy(place: string | undefined): void {
  if (place !== undefined) {
    loadedCopies().add(new URL('..', place).href);
  }
}

/** Warns where there is another copy: what the module of one provides is not what the decorators of the other ask for. */
export function warnOfCopies(): void {
  const copies = [...loadedCopies()];
  if (copies.length > 1) {
    new Logger('Session').warn(
      `There are ${copies.length} copies of nestjs-mikro-session: ${copies.join(', ')}. ` +
        'One does not know the sessions of another. Install it once: "npm ls nestjs-mikro-session" shows the copies.',
    );
  }
}
