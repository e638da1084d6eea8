import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

import { type Direction, directionsOf, type Moment, NetworkLink, type NetworkState } from './network-link.js';

/** What a test does at a moment. The connection waits for what it returns. */
export type Act = (link: NetworkLink) => unknown;

interface Appointment {
  readonly moment: Moment;
  readonly text: RegExp;
  readonly act: Act;
}

const HOST = '127.0.0.1';

/**
 * The network between an application and PostgreSQL, which can fail when a test says so. It knows the protocol, so that
 * it fails at a given statement.
 *
 * @example
 * await using network = await NetworkProxy.start(database.url);
 * const cut = network.once('answer', /^commit$/, (link) => link.cut());
 * await connectTo(network.url);
 * await cut;
 */
export class NetworkProxy implements NetworkState {
  readonly #target: URL;
  readonly #links = new Set<NetworkLink>();
  readonly #appointments = new Set<Appointment>();
  readonly #swallowed = new Set<'statements' | 'answers'>();
  readonly #server: Server;
  #port = 0;
  #connections = 0;
  #messages = 0;
  #answers = 0;
  /** Milliseconds that everything takes, each way. */
  latency = 0;

  private constructor(target: string) {
    this.#target = new URL(target);
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#link(client));
  }

  /** Listens on a free port, in front of the server of a database URL. */
  static async start(databaseUrl: string): Promise<NetworkProxy> {
    const proxy = new NetworkProxy(databaseUrl);
    await proxy.accept();
    return proxy;
  }

  /** The database URL through this network. */
  get url(): string {
    const url = new URL(this.#target);
    url.host = `${HOST}:${this.#port}`;
    return url.href;
  }

  /** How many connections were opened. */
  get connections(): number {
    return this.#connections;
  }

  /** How many connections are open, to the knowledge of one of their ends. */
  get openConnections(): number {
    return this.#links.size;
  }

  /** How many messages passed, in both directions. */
  get messages(): number {
    return this.#messages;
  }

  /** How many statements the server has answered: the round trips. */
  get answers(): number {
    return this.#answers;
  }

  /** Acts at the next such moment of a statement. Resolves with its connection, when `act` is done. */
  once(moment: Moment, text: RegExp, act: Act = () => undefined): Promise<NetworkLink> {
    const { promise, resolve, reject } = Promise.withResolvers<NetworkLink>();
    const appointment: Appointment = {
      moment,
      text,
      act: async (link) => {
        this.#appointments.delete(appointment);
        try {
          await act(link);
          resolve(link);
        } catch (error) {
          reject(error);
        }
      },
    };
    this.#appointments.add(appointment);
    return promise;
  }

  /** Acts at every such moment, until the returned function is called. */
  each(moment: Moment, text: RegExp, act: Act): () => void {
    const appointment: Appointment = { moment, text, act };
    this.#appointments.add(appointment);
    return () => this.#appointments.delete(appointment);
  }

  /** Resets every connection. */
  cut(): void {
    this.#links.forEach((link) => link.cut());
  }

  /** Loses everything, on new connections too, without a word to either end. */
  swallow(direction: Direction = 'both'): void {
    directionsOf(direction).forEach((one) => this.#swallowed.add(one));
  }

  /** Refuses new connections. Those that are open go on. */
  refuse(): void {
    if (this.#server.listening) {
      this.#server.close();
    }
  }

  async accept(): Promise<void> {
    if (!this.#server.listening) {
      this.#server.listen(this.#port, HOST);
      await once(this.#server, 'listening');
      this.#port = (this.#server.address() as AddressInfo).port;
    }
  }

  /** Forgets all that was asked for. What has lost bytes stays silent: nobody could read on. */
  async heal(): Promise<void> {
    this.#appointments.clear();
    this.#swallowed.clear();
    this.latency = 0;
    this.#links.forEach((link) => link.heal());
    await this.accept();
  }

  /** Ends everything, and waits until it is gone. */
  async close(): Promise<void> {
    this.#appointments.clear();
    this.refuse();
    const closed = [...this.#links].map((link) => link.closed);
    this.cut();
    await Promise.all(closed);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  isSwallowed(direction: 'statements' | 'answers'): boolean {
    return this.#swallowed.has(direction);
  }

  count(what: 'messages' | 'answers'): void {
    if (what === 'messages') {
      this.#messages += 1;
    } else {
      this.#answers += 1;
    }
  }

  isAwaited(moment: Moment, text: string): boolean {
    return this.#find(moment, text) !== undefined;
  }

  async reach(moment: Moment, text: string, link: NetworkLink): Promise<void> {
    await this.#find(moment, text)?.act(link);
  }

  #find(moment: Moment, text: string): Appointment | undefined {
    return [...this.#appointments].find((one) => one.moment === moment && one.text.test(text));
  }

  #link(client: Socket): void {
    this.#connections += 1;
    const server = connect({ host: this.#target.hostname, port: Number(this.#target.port), allowHalfOpen: true });
    const link = new NetworkLink(client, server, this);
    this.#links.add(link);
    void link.closed.then(() => this.#links.delete(link));
  }
}
