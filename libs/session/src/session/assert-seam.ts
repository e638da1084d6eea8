import { createRequire } from 'node:module';

import { Logger } from '@nestjs/common';

import { SessionSetupError } from './session-error.js';

/**
 * A place where this package depends on a private part of another package, which any version of that package may
 * change.
 */
export interface Seam {
  /** The name of the seam in the code and in the table of docs/seams.md. */
  readonly seam: string;
  /** The npm package that has the part. */
  readonly of: string;
  /** The package that depends on it, where the copy of the application may be another one. */
  readonly via?: string;
  /** What users lose without it: a sentence without a full stop. */
  readonly loss: string;
  /** What users can do until then: the beginning of a sentence. */
  readonly remedy?: string;
}

/**
 * Checks a part without which nothing works.
 *
 * @throws {SessionSetupError} when a member is missing
 */
export function assertSeam(object: unknown, members: readonly string[], seam: Seam): void {
  const missing = findMissing(object, members);
  if (missing.length > 0) {
    throw new SessionSetupError(explain(missing, seam));
  }
}

/** Whether all members are there. Warns when one is missing. */
export function checkSeam(object: unknown, members: readonly string[], seam: Seam): boolean {
  const missing = findMissing(object, members);
  if (missing.length > 0) {
    warnOfSeam(missing, seam);
  }
  return missing.length === 0;
}

/** Warns of a lost part that was not found by the name of a member. */
export function warnOfSeam(missing: readonly string[], seam: Seam): void {
  new Logger('Session').warn(explain(missing, seam));
}

function findMissing(object: unknown, members: readonly string[]): string[] {
  const known = (object ?? {}) as Readonly<Record<string, unknown>>;
  return members.filter((member) => known[member] === undefined);
}

function explain(missing: readonly string[], { seam, of, via, loss, remedy }: Seam): string {
  const parts = missing.map((member) => `"${member}"`).join(', ');
  const are = missing.length === 1 ? 'is not the one that this library knows' : 'are not those that this library knows';
  const advice = remedy === undefined ? 'Look' : `${remedy}, and look`;
  return (
    `${loss}: ${parts} of ${of}${findVersion(of, via)} ${are} (seam "${seam}"). ` +
    `${advice} for a newer version of nestjs-mikro-session.`
  );
}

/** A package may not export its `package.json`, and this package may not find it. */
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
