import { globSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { findLongSpec, isSlow } from './slow-specs.ts';

const tests = fileURLToPath(new URL('..', import.meta.url));

/**
 * Runs the specs of a folder as one test file, its `room.ts`, but for the long ones: and the quick ones alone where
 * `TEST_QUICK` is set. Jest loads all modules anew for each test file, which takes longer than most of these specs do.
 */
export async function openRoom(folder: string): Promise<void> {
  for (const spec of findHeld(folder)) {
    if (process.env['TEST_QUICK'] === undefined || !isSlow(spec)) {
      await import(spec);
    }
  }
}

/** The specs that a room holds, by their absolute paths. */
export function findAllHeld(): string[] {
  return globSync('**/room.ts', { cwd: tests }).flatMap((room) => findHeld(dirname(join(tests, room))));
}

function findHeld(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.spec.ts'))
    .map((name) => join(folder, name))
    .filter((spec) => findLongSpec(spec) === -1);
}
