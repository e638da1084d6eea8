// Who runs what is built holds a lock, shared with others of the kind, and who builds wants it alone. The kernel frees it when
// a process ends, however it ends.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const CACHE = join(import.meta.dirname, '..', 'node_modules', '.cache');

function open(timeout: number): DatabaseSync {
  mkdirSync(CACHE, { recursive: true });
  return new DatabaseSync(join(CACHE, 'dist-in-use.sqlite'), { timeout });
}

/** Keeps what is built as it is until this process ends. Waits for a build that runs. */
export function holdDist(): void {
  const lock = open(300_000);
  lock.exec('begin; select count(*) from sqlite_master');
  process.once('exit', () => lock.close());
}

/** Returns false when a program runs from what is built. Else none starts to until this process ends. */
export function takeDist(): boolean {
  const lock = open(0);
  try {
    lock.exec('begin exclusive');
  } catch {
    lock.close();
    return false;
  }
  process.once('exit', () => lock.close());
  return true;
}
