import type { NetworkLink } from '../support/network-link.js';
import type { NetworkProxy } from '../support/network-proxy.js';

/** Runs a statement in an open transaction, which tells on which connection that is. */
type Execute = (sql: string) => Promise<unknown>;

/** Lets the network fail for one transaction among many. */
export class NetworkFaults {
  readonly #network: NetworkProxy;
  /** What becomes of the answer to the next COMMIT of a connection, unless it is rolled back first. */
  readonly #atCommit = new Map<NetworkLink, () => void>();
  /** The connections that were lost without a word. */
  readonly #silent = new Set<NetworkLink>();
  #marks = 0;

  constructor(network: NetworkProxy) {
    this.#network = network;
    network.each('answer', /^commit$/i, (link) => {
      this.#atCommit.get(link)?.();
      this.#atCommit.delete(link);
    });
    network.each('statement', /^rollback$/i, (link) => this.#atCommit.delete(link));
  }

  /** The database URL through this network. */
  get url(): string {
    return this.#network.url;
  }

  /** Resets the connection when the server has answered to the COMMIT of this transaction. */
  async cutAtCommit(execute: Execute): Promise<void> {
    const link = await this.#find(execute);
    this.#atCommit.set(link, () => link.cut());
  }

  /** Loses the answer to the COMMIT of this transaction, and all that would follow. Calls back when it does. */
  async swallowAtCommit(execute: Execute, onLost: () => void): Promise<void> {
    const link = await this.#find(execute);
    this.#atCommit.set(link, () => {
      this.#swallow(link);
      onLost();
    });
  }

  /** Loses a statement on its way, and all that would follow. Calls back when it does. */
  async swallowStatement(execute: Execute, onLost: () => void): Promise<void> {
    await this.#find(execute, (link) => {
      this.#swallow(link);
      onLost();
    });
  }

  /** Ends for the server too what was lost without a word. */
  heal(): void {
    this.#silent.forEach((link) => link.cut());
    this.#silent.clear();
  }

  #swallow(link: NetworkLink): void {
    link.swallow();
    this.#silent.add(link);
  }

  async #find(execute: Execute, act: (link: NetworkLink) => void = () => undefined): Promise<NetworkLink> {
    const mark = `mark_${++this.#marks}`;
    let found: NetworkLink | undefined;
    const forget = this.#network.each('statement', new RegExp(`(?:^|; )select 1 as ${mark}$`), (link) => {
      found = link;
      act(link);
    });
    try {
      await execute(`select 1 as ${mark}`);
    } finally {
      forget();
    }
    if (found === undefined) {
      throw new Error(`The statement with ${mark} did not pass this network`);
    }
    return found;
  }
}
