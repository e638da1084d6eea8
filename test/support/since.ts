import { createRequire } from 'node:module';

import { describeLeftOut, leaveOut, type LeftOut } from './left-out.js';

const require = createRequire(import.meta.url);

/** The packages whose versions tell what can be had of the others. */
type Known = '@mikro-orm/core' | '@nestjs/core';

/** What a test needs of a package. */
interface Need {
  /** The first version of it that can do what the test is of, or that no longer does it. */
  readonly version: string;
  /** Why the others cannot. */
  readonly reason: string;
}

/** Gives `it`. Where the installed package is older it gives what leaves the test out, and says why. */
export function itSince(name: Known, need: Need): jest.It {
  const left = findLeftOut(name, need);
  return left === undefined ? it : leaveOut(it.skip, left);
}

/** The same for all tests of a `describe`. */
export function describeSince(name: Known, need: Need): jest.Describe {
  const left = findLeftOut(name, need);
  return left === undefined ? describe : leaveOut(describe.skip, left);
}

/** Gives `describe` for what only older versions than this one do, and elsewhere what leaves it out. */
export function describeBefore(name: Known, { version, reason }: Need): jest.Describe {
  return isAtLeast(name, version) ? leaveOut(describe.skip, { on: `${name} ${versionOf(name)}`, reason }) : describe;
}

/** For what is not a test: whether the installed package has it. Where it has not, says so of `what`. */
export function isSince(name: Known, need: Need & { readonly what: string }): boolean {
  const left = findLeftOut(name, need);
  if (left !== undefined) {
    process.stderr.write(describeLeftOut(need.what, left));
  }
  return left === undefined;
}

function isAtLeast(name: Known, wanted: string): boolean {
  return versionOf(name).localeCompare(wanted, 'en', { numeric: true }) >= 0;
}

function findLeftOut(name: Known, { version, reason }: Need): LeftOut | undefined {
  return isAtLeast(name, version) ? undefined : { on: `${name} ${versionOf(name)}`, reason };
}

function versionOf(name: Known): string {
  return (require(`${name}/package.json`) as { readonly version: string }).version;
}
