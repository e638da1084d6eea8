import type { Random } from '../random.js';
import type { Server } from '../server.js';
import type { StormDatabase } from '../storm-database.js';
import type { Tally } from '../tally.js';

/** The poison queue is hit by its own jobs alone, so that how many attempts they take can be told. */
const SPARED = 'chaos poison%';

/** Takes connections, statements and the whole server away, from the side of PostgreSQL. */
export class ServerFaults {
  readonly #server: Server;
  readonly #database: StormDatabase;
  readonly #tally: Tally;
  #restarts = 0;

  constructor(server: Server, database: StormDatabase, tally: Tally) {
    this.#server = server;
    this.#database = database;
    this.#tally = tally;
  }

  /** Ends a connection, as an administrator or a failover does. */
  async terminate(random: Random): Promise<void> {
    if (await this.#strike(random, (pid) => this.#database.terminate(pid))) {
      this.#tally.counts.backends += 1;
    }
  }

  /** Cancels the statement that a connection runs, if it runs one. */
  async cancel(random: Random): Promise<void> {
    if (await this.#strike(random, (pid) => this.#database.cancel(pid))) {
      this.#tally.counts.cancelled += 1;
    }
  }

  /** Takes the server away and brings it back. */
  async restart(random: Random): Promise<void> {
    this.#restarts += 1;
    await this.#server.restart(random.pick(['fast', 'crash']));
    this.#tally.counts.restarts += 1;
  }

  /** Whether there was anything to hit: not while the server is away, nor just when it came back. */
  async #strike(random: Random, hit: (pid: number) => Promise<void>): Promise<boolean> {
    const share = random.next();
    try {
      const pids = await this.#database.findBackends(SPARED);
      const pid = pids[Math.floor(share * pids.length)];
      if (pid === undefined) {
        return false;
      }
      await hit(pid);
      return true;
    } catch (error) {
      if (this.#restarts === 0) {
        throw error;
      }
      return false;
    }
  }
}
