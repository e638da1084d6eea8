import { setTimeout as wait } from 'node:timers/promises';

/** Waits for so many milliseconds, or until the storm is over. */
export type Pause = (milliseconds: number) => Promise<void>;

export function createPause(signal: AbortSignal): Pause {
  return async (milliseconds) => {
    // The only thing that it throws is the reason of the signal, which its callers look at themselves.
    await wait(milliseconds, undefined, { signal }).catch(() => undefined);
  };
}
