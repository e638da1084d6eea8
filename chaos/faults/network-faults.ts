import type { Moment, NetworkLink } from '../../test/support/network-link.js';
import type { NetworkProxy } from '../../test/support/network-proxy.js';
import type { Pause } from '../pause.js';
import type { Random } from '../random.js';
import type { NetworkFault, Tally } from '../tally.js';

const FAULTS = ['delay', 'cut', 'halfClose', 'truncate', 'blackHole'] as const;
const MOMENTS = ['statement', 'answer', 'answered'] as const;
/** What a connection is hit at: its commit more often than anything else, since that is where it matters. */
const TEXTS = [/commit/i, /commit/i, /commit/i, /insert/i, /begin/i, /rollback/i, /./] as const;

/** Breaks the network between the applications and their database. */
export class NetworkFaults {
  readonly #proxies: readonly [NetworkProxy, ...NetworkProxy[]];
  readonly #tally: Tally;

  constructor(proxies: readonly [NetworkProxy, ...NetworkProxy[]], tally: Tally) {
    this.#proxies = proxies;
    this.#tally = tally;
  }

  /** Makes one fault happen, now or at the next statement that it is about. */
  async strike(random: Random, pause: Pause): Promise<void> {
    const proxy = random.pick(this.#proxies);
    const fault = random.pick(FAULTS);
    const moment = random.pick(MOMENTS);
    const text = random.pick(TEXTS);
    const isOnAll = random.chance(0.15);
    const milliseconds = random.integer(50, 1_500);
    switch (fault) {
      case 'delay':
        this.#count(fault);
        proxy.latency = random.integer(2, 120);
        await pause(milliseconds);
        proxy.latency = 0;
        return;
      case 'cut':
        if (isOnAll) {
          await this.#refuse(proxy, () => pause(milliseconds));
          return;
        }
        return this.#at(proxy, { fault, moment, text }, (link) => link.cut());
      case 'halfClose':
        return this.#at(proxy, { fault, moment, text }, (link) => link.halfClose());
      case 'truncate': {
        const half: Moment = moment === 'answered' ? 'answer' : moment;
        return this.#at(proxy, { fault, moment: half, text }, (link) => {
          link.passHalf();
          link.cut();
        });
      }
      case 'blackHole':
        if (isOnAll) {
          await this.#swallow(proxy, () => pause(milliseconds));
          return;
        }
        return this.#at(proxy, { fault, moment, text }, (link) => link.swallow());
    }
  }

  /** Ends every fault. What a black hole has taken stays silent, as it does in the world. */
  async heal(): Promise<void> {
    await Promise.all(this.#proxies.map((proxy) => proxy.heal()));
  }

  #at(
    proxy: NetworkProxy,
    { fault, moment, text }: { readonly fault: NetworkFault; readonly moment: Moment; readonly text: RegExp },
    act: (link: NetworkLink) => void,
  ): void {
    void proxy.once(moment, text, (link) => {
      this.#count(fault);
      act(link);
    });
  }

  /** The whole network is down: connections break, and new ones are refused. */
  async #refuse(proxy: NetworkProxy, until: () => Promise<void>): Promise<void> {
    this.#count('cut');
    proxy.refuse();
    proxy.cut();
    await until();
    await proxy.accept();
  }

  async #swallow(proxy: NetworkProxy, until: () => Promise<void>): Promise<void> {
    this.#count('blackHole');
    proxy.swallow();
    await until();
    await proxy.heal();
  }

  #count(fault: NetworkFault): void {
    this.#tally.counts[fault] += 1;
  }
}
