import type { ServerResponse } from 'node:http';

import type { OnModuleDestroy } from '@nestjs/common';

import { Changes } from '../state/changes.js';
import type { Inspector } from '../state/inspector.js';
import { EventClient } from './event-client.js';

/** The shortest time in milliseconds between two updates. */
const INTERVAL_MS = 100;
/** The share of the time of the server that updates may take. */
const SHARE = 0.04;
const HEARTBEAT_MS = 15_000;
/** The largest number of clients. */
const MOST_CLIENTS = 200;

/**
 * Sends the changes to all clients, as long as there are any. Its memory does not grow with clients that do not read.
 */
export class EventClients implements OnModuleDestroy {
  readonly #clients = new Set<EventClient>();
  #changes: Changes | undefined;
  #timer: NodeJS.Timeout | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(private readonly inspector: Inspector) {}

  add(response: ServerResponse): void {
    if (this.#isClosed || this.#clients.size >= MOST_CLIENTS) {
      response.writeHead(503, { 'Content-Type': 'text/plain; charset=utf-8' });
      response.end('Too many clients look at the inspector, or the application is closing.');
      return;
    }
    const client = new EventClient(response);
    this.#clients.add(client);
    response.once('close', () => this.#remove(client));
    this.inspector.queues.refresh();
    client.open();
    client.send(this.#stateMessage());
    this.#start();
  }

  /** Ends the connections: NestJS waits for all connections of its server. */
  onModuleDestroy(): void {
    this.#isClosed = true;
    this.#clients.forEach((client) => client.end());
    this.#stop();
  }

  #remove(client: EventClient): void {
    this.#clients.delete(client);
    if (this.#clients.size === 0) {
      this.#stop();
    }
  }

  #start(): void {
    this.#changes ??= new Changes(this.inspector);
    this.#timer ??= setTimeout(() => this.#tick(), INTERVAL_MS).unref();
    this.#heartbeat ??= setInterval(() => this.#clients.forEach((client) => client.beat()), HEARTBEAT_MS).unref();
  }

  #stop(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#heartbeat);
    this.#timer = undefined;
    this.#heartbeat = undefined;
    this.#changes = undefined;
  }

  #tick(): void {
    const begun = performance.now();
    this.#update();
    const took = performance.now() - begun;
    this.#timer = setTimeout(() => this.#tick(), Math.max(INTERVAL_MS, took / SHARE)).unref();
  }

  #update(): void {
    const change = this.#changes?.next();
    const message = change === undefined ? undefined : toMessage('change', change);
    let state: Buffer | undefined;
    for (const client of this.#clients) {
      if (client.isFull) {
        client.missed();
      } else if (client.hasMissed) {
        // One message is made for all clients.
        state ??= this.#stateMessage();
        client.send(state);
      } else if (message !== undefined) {
        client.send(message);
      }
    }
  }

  #stateMessage(): Buffer {
    return toMessage('state', this.inspector.state);
  }
}

function toMessage(event: string, data: object): Buffer {
  return Buffer.from(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}
