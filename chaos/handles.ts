import { setTimeout as wait } from 'node:timers/promises';

const PATIENCE_MS = 10_000;
const POLL_MS = 50;

/** What keeps a process alive, and who listens to it: how many of each kind. */
export type Handles = ReadonlyMap<string, number>;

export function countHandles(): Handles {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) {
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  for (const event of process.eventNames()) {
    counts.set(`listener of "${String(event)}"`, process.listenerCount(event));
  }
  return counts;
}

/** Waits until no more handles are left than before. Describes those that stay. */
export async function findHandlesLeft(before: Handles): Promise<string[]> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const left = [...countHandles()]
      // Of the wait itself, and of writing to the terminal.
      .filter(([kind]) => kind !== 'Timeout' && kind !== 'TTYWrap')
      .filter(([kind, count]) => count > (before.get(kind) ?? 0))
      .map(([kind, count]) => `${kind}: ${count}, before ${before.get(kind) ?? 0}`);
    if (left.length === 0 || Date.now() > deadline) {
      return left;
    }
    await wait(POLL_MS);
  }
}

/** Megabytes of the heap, after a collection. */
export function measureHeap(): number {
  if (globalThis.gc === undefined) {
    throw new Error('The heap can only be measured with --expose-gc');
  }
  globalThis.gc();
  globalThis.gc();
  return process.memoryUsage().heapUsed / 1e6;
}
