import type { Pool } from '../session/pool/pool.js';
import { endForgotten, findAsking, isSilent } from './end-forgotten.js';

/** How long a connection is silent before the server is asked of it, at least. Twice that at most. */
const INTERVAL_MS = 5_000;

/**
 * Ends the connections of pg-boss that wait for an answer which the network has lost: who sends a job in a transaction waits
 * for them, too. A statement that is only slow goes on, since the server says that it works on it.
 */
export class BossWatch {
  #timer: NodeJS.Timeout | undefined;
  #asking: ReturnType<typeof findAsking> = [];

  /** @param findPool the connections of pg-boss, once it has some */
  constructor(private readonly findPool: () => Pool | undefined) {}

  start(): void {
    this.#timer = setInterval(() => void this.#look(), INTERVAL_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const pool = this.findPool();
    if (pool === undefined) {
      return;
    }
    const silent = this.#asking.filter(isSilent);
    this.#asking = findAsking(pool);
    if (silent.length > 0) {
      await endForgotten(pool, silent);
    }
  }
}
