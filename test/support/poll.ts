import { setTimeout as pause } from 'node:timers/promises';

const PATIENCE_MS = 15_000;

/** Waits for what nothing tells of. */
export async function poll(what: string, isReached: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await isReached())) {
    if (Date.now() > deadline) {
      throw new Error(`Waited ${PATIENCE_MS} ms in vain until: ${what}`);
    }
    await pause(10);
  }
}
