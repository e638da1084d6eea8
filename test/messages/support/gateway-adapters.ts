import { once } from 'node:events';

import type { INestApplication } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { WsAdapter } from '@nestjs/platform-ws';
import { io } from 'socket.io-client';
import { WebSocket, type WebSocketServer } from 'ws';

interface GatewayMessage {
  readonly event: string;
  readonly data: unknown;
}

/** The far end of one connection. */
export interface GatewayClient {
  send(event: string, data?: unknown): void;
  /** The next message from the server, in order. */
  next(): Promise<GatewayMessage>;
  disconnect(): void;
}

export interface GatewayAdapter {
  readonly name: string;
  install(app: INestApplication): void;
  connect(url: string): Promise<GatewayClient>;
}

/** Keeps messages until somebody asks for them. */
class Inbox {
  readonly #messages: GatewayMessage[] = [];
  readonly #readers: ((message: GatewayMessage) => void)[] = [];

  add(message: GatewayMessage): void {
    const reader = this.#readers.shift();
    if (reader === undefined) {
      this.#messages.push(message);
    } else {
      reader(message);
    }
  }

  next(): Promise<GatewayMessage> {
    const message = this.#messages.shift();
    return message === undefined ? new Promise((resolve) => this.#readers.push(resolve)) : Promise.resolve(message);
  }
}

const socketIo: GatewayAdapter = {
  name: 'socket.io',
  install: (app) => app.useWebSocketAdapter(new IoAdapter(app)),
  connect: async (url) => {
    const inbox = new Inbox();
    const socket = io(url, { transports: ['websocket'], forceNew: true, reconnection: false });
    socket.onAny((event: string, data: unknown) => inbox.add({ event, data }));
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('connect_error', reject);
    });
    return {
      send: (event, data) => socket.emit(event, data),
      next: () => inbox.next(),
      disconnect: () => socket.disconnect(),
    };
  },
};

/** More gateways share a connection in the tests than Node takes for no leak: each listens twice for its end. */
class ManyGatewaysAdapter extends WsAdapter {
  override bindClientConnect(server: WebSocketServer, callback: (client: WebSocket) => void): void {
    super.bindClientConnect(server, (client: WebSocket, ...rest: []) => {
      client.setMaxListeners(20);
      callback(client, ...rest);
    });
  }
}

export const ws: GatewayAdapter = {
  name: 'ws',
  install: (app) => app.useWebSocketAdapter(new ManyGatewaysAdapter(app)),
  connect: async (url) => {
    const inbox = new Inbox();
    const socket = new WebSocket(url.replace(/^http/, 'ws'));
    socket.on('message', (text: Buffer) => inbox.add(JSON.parse(text.toString()) as GatewayMessage));
    await once(socket, 'open');
    return {
      send: (event, data) => socket.send(JSON.stringify({ event, data })),
      next: () => inbox.next(),
      disconnect: () => socket.close(),
    };
  },
};

export const adapters: readonly GatewayAdapter[] = [socketIo, ws];
