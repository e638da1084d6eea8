import { createRequire } from 'node:module';

import { Logger } from '@nestjs/common';

import { SessionSetupError } from './session-error.js';

/** A place where this package leans on a part of another one that may change with any version of it. */
export interface Seam {
  /** What the mark in the code and the table of docs/seams.md call it. */
  readonly seam: string;
  /** The npm package that the part is of. */
  readonly of: string;
  /** The package that brings it along, where the user's own may be another one. */
  readonly via?: string;
  /** What its users lose with it, as a sentence without its end. */
  readonly loss: string;
  /** What they can do meanwhile, as the beginning of a sentence */
  readonly remedy?: string;
}

/**
 * Makes sure of what nothing works without.
 *
 * @throws {SessionSetupError} when a member is not there any more
 */
export function assertSeam(object: unknown, members: readonly string[], seam: Seam): void {
  const missing = findMissing(object, members);
  if (missing.length > 0) {
    throw new SessionSetupError(explain(missing, seam));
  }
}

/** Whether all is there that is needed. Warns when a member is not there any more. */
export function checkSeam(object: unknown, members: readonly string[], seam: Seam): boolean {
  const missing = findMissing(object, members);
  if (missing.length > 0) {
    warnOfSeam(missing, seam);
  }
  return missing.length === 0;
}

/** Warns of what was found to be lost in another way than by the name of a member. */
export function warnOfSeam(missing: readonly string[], seam: Seam): void {
  new Logger('Session').warn(explain(missing, seam));
}

function findMissing(object: unknown, members: readonly string[]): string[] {
  const known = (object ?? {}) as Readonly<Record<string, unknown>>;
  return members.filter((member) => known[member] === undefined);
}

function explain(missing: readonly string[], { seam, of, via, loss, remedy }: Seam): string {
  const parts = missing.map((member) => `"${member}"`).join(', ');
  const are = missing.length === 1 ? 'is not the one that is known' : 'are not those that are known';
  const advice = remedy === undefined ? 'Look' : `${remedy}, and look`;
  return (
    `${loss}: ${parts} of ${of}${findVersion(of, via)} ${are} (seam "${seam}"). ` +
    `${advice} for a newer version of nestjs-mikro-session.`
  );
}

/** A package need not show its version, nor be where this one finds it. */
function findVersion(name: string, via: string | undefined): string {
  try {
    const own = createRequire(import.meta.url);
    const find = via === undefined ? own : createRequire(own.resolve(`${via}/package.json`));
    const { version } = find(`${name}/package.json`) as { readonly version: string };
    return ` ${version}`;
  } catch {
    return '';
  }
}
