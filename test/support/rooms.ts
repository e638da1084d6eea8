import { globSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { findSlowSpec } from './slow-specs.ts';

const tests = fileURLToPath(new URL('..', import.meta.url));

/**
 * Runs the quick specs of a folder as one test file, its `room.ts`. Jest loads all modules anew for each test file,
 * which takes longer than most of these specs do.
 */
export async function openRoom(folder: string): Promise<void> {
  for (const spec of findHeld(folder)) {
    await import(spec);
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
    .filter((spec) => findSlowSpec(spec) === -1);
}
