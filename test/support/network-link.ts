import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

import { asksForEncryption, findText, type Message, MessageReader } from './message-reader.js';

/** `statements` go from the application to the server, `answers` come back. */
export type Direction = 'statements' | 'answers' | 'both';

/**
 * `statement`: the application sent it, the server has not got it. `answer`: the server has done it, and the application
 * has not heard of it. `answered`: the application has the whole answer.
 */
export type Moment = 'statement' | 'answer' | 'answered';

/** What all links of a proxy have to know. */
export interface NetworkState {
  readonly latency: number;
  isSwallowed(direction: 'statements' | 'answers'): boolean;
  count(what: 'messages' | 'answers'): void;
  /** Whether somebody waits for that moment of this statement. */
  isAwaited(moment: Moment, text: string): boolean;
  /** Called at each moment. What it returns is awaited before anything more passes. */
  reach(moment: Moment, text: string, link: NetworkLink): Promise<void>;
}

/** One connection of the application to the server, and what can go wrong on it. */
export class NetworkLink {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #state: NetworkState;
  readonly #fromClient = new MessageReader('client');
  readonly #fromServer = new MessageReader('server');
  readonly #swallowed = new Set<'statements' | 'answers'>();
  /** The statements that the server has yet to answer. */
  readonly #unanswered: string[] = [];
  readonly #closed = Promise.withResolvers<void>();
  #prepared = '';
  #answer: Buffer[] = [];
  #atHand: { readonly to: Socket; readonly bytes: Buffer } | undefined;
  #hasLostBytes = false;

  constructor(client: Socket, server: Socket, state: NetworkState) {
    this.#client = client;
    this.#server = server;
    this.#state = state;
    // A message of several parts waited for the acknowledgement of the first.
    client.setNoDelay();
    server.setNoDelay();
    this.#join(client, server, 'statements', (message) => this.#passStatement(message));
    this.#join(server, client, 'answers', (message) => this.#passAnswer(message));
  }

  /** Resolves when both ends are closed. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Resets both ends. */
  cut(): void {
    reset(this.#client);
    reset(this.#server);
  }

  /** Ends the connection towards the application in good order, as a server that goes down does. */
  halfClose(): void {
    this.#client.end();
  }

  /** Lets half of the message at hand pass: in the middle of what a moment is about. */
  passHalf(): void {
    const { to, bytes } = this.#atHand ?? { to: this.#client, bytes: Buffer.alloc(0) };
    this.#atHand = undefined;
    this.#write(to, bytes.subarray(0, Math.floor(bytes.length / 2)));
  }

  /** Loses everything from now on, without a word to either end. */
  swallow(direction: Direction = 'both'): void {
    directionsOf(direction).forEach((one) => this.#swallowed.add(one));
  }

  /** Passes on the ends that were swallowed. A connection that has lost bytes stays silent: nobody could read on. */
  heal(): void {
    if (!this.#hasLostBytes) {
      this.#swallowed.clear();
    }
    if (this.#client.destroyed || this.#client.readableEnded) {
      this.#server.destroy();
    }
  }

  #join(
    from: Socket,
    to: Socket,
    direction: 'statements' | 'answers',
    pass: (message: Message) => Promise<void>,
  ): void {
    const reader = direction === 'statements' ? this.#fromClient : this.#fromServer;
    let before = Promise.resolve();
    const next = (work: () => Promise<void>): void => {
      before = before.then(work);
    };
    from.on('data', (chunk: Buffer) =>
      next(async () => {
        if (this.#state.latency > 0) {
          await pause(this.#state.latency);
        }
        if (this.#isSwallowed(direction)) {
          this.#hasLostBytes = true;
          this.swallow(direction);
          return;
        }
        for (const message of reader.read(chunk)) {
          this.#state.count('messages');
          await pass(message);
        }
      }),
    );
    from.on('end', () =>
      next(async () => {
        if (!this.#isSwallowed(direction)) {
          to.end();
        }
      }),
    );
    from.on('error', () => {
      if (!this.#isSwallowed(direction)) {
        reset(to);
      }
    });
    from.on('close', () => {
      if (this.#client.destroyed && this.#server.destroyed) {
        this.#closed.resolve();
      }
    });
  }

  #isSwallowed(direction: 'statements' | 'answers'): boolean {
    return this.#swallowed.has(direction) || this.#state.isSwallowed(direction);
  }

  async #passStatement(message: Message): Promise<void> {
    if (asksForEncryption(message)) {
      this.#fromServer.expectPlainByte();
    }
    const text = findText(message);
    if (message.type === 'P') {
      this.#prepared = text ?? '';
    }
    if (message.type === 'Q' || message.type === 'S') {
      this.#unanswered.push(text ?? this.#prepared);
    }
    if (text !== undefined) {
      await this.#reach('statement', text, this.#server, message.bytes);
    } else {
      this.#write(this.#server, message.bytes);
    }
  }

  async #passAnswer(message: Message): Promise<void> {
    const text = this.#unanswered[0];
    if (text === undefined) {
      this.#write(this.#client, message.bytes);
      return;
    }
    const isHeld = this.#answer.length > 0 || this.#state.isAwaited('answer', text);
    if (isHeld) {
      this.#answer.push(message.bytes);
    } else {
      this.#write(this.#client, message.bytes);
    }
    // Ready for the next query: the answer is complete.
    if (message.type !== 'Z') {
      return;
    }
    this.#unanswered.shift();
    if (isHeld) {
      const bytes = Buffer.concat(this.#answer);
      this.#answer = [];
      await this.#reach('answer', text, this.#client, bytes);
    }
    this.#state.count('answers');
    await this.#reach('answered', text, this.#client, Buffer.alloc(0));
  }

  async #reach(moment: Moment, text: string, to: Socket, bytes: Buffer): Promise<void> {
    this.#atHand = { to, bytes };
    await this.#state.reach(moment, text, this);
    const rest = this.#atHand;
    this.#atHand = undefined;
    if (rest !== undefined && !this.#isSwallowed(to === this.#server ? 'statements' : 'answers')) {
      this.#write(to, rest.bytes);
    } else if (bytes.length > 0) {
      this.#hasLostBytes = true;
    }
  }

  #write(to: Socket, bytes: Buffer): void {
    if (to.writable) {
      to.write(bytes);
    }
  }
}

export function directionsOf(direction: Direction): readonly ('statements' | 'answers')[] {
  return direction === 'both' ? ['statements', 'answers'] : [direction];
}

/** A reset while its end is on the way would leave the handle of the socket open for ever, and the process with it. */
function reset(socket: Socket): void {
  if (socket.writableEnded) {
    socket.destroy();
  } else {
    socket.resetAndDestroy();
  }
}
