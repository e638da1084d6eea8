import type { Pool } from '../session/pool/pool.js';
import { endForgotten, findAsking, isSilent } from './end-forgotten.js';

/**
 * Milliseconds of silence on a connection, after which the server is asked about it. It may take up to twice as long.
 */
const INTERVAL_MS = 5_000;

/**
 * Ends the connections of pg-boss that wait for an answer which the network has lost. Otherwise a call that sends a job
 * would wait for ever too. A slow statement goes on: the server says that it still works on it.
 */
export class BossWatch {
  #timer: NodeJS.Timeout | undefined;
  #asking: ReturnType<typeof findAsking> = [];

  /** @param findPool returns the pool of pg-boss. Undefined before it exists */
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
