import type { Server, ServerResponse } from 'node:http';

import {
  type BeforeApplicationShutdown,
  Injectable,
  type OnModuleDestroy,
  ServiceUnavailableException,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';

/**
 * Stops the HTTP server in order: refuses new requests, waits for the running ones, and then closes the connections
 * that are still open.
 */
@Injectable()
export class OpenRequests implements OnModuleDestroy, BeforeApplicationShutdown {
  readonly #open = new Set<ServerResponse>();
  readonly #answered = Promise.withResolvers<void>();
  #isClosing = false;

  constructor(private readonly adapterHost: HttpAdapterHost) {}

  /** A middleware. Use it after the body parser, so that nobody waits for a request that never arrives completely. */
  readonly watch = (_request: unknown, response: ServerResponse, next: (error?: unknown) => void): void => {
    if (this.#isClosing) {
      response.setHeader('Connection', 'close');
      next(new ServiceUnavailableException('The server is shutting down.'));
      return;
    }
    this.#open.add(response);
    response.once('close', () => {
      this.#open.delete(response);
      this.#check();
    });
    next();
  };

  onModuleDestroy(): void {
    this.#isClosing = true;
    this.#server.close();
    this.#check();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.#answered.promise;
    this.#server.closeAllConnections();
  }

  get #server(): Server {
    return this.adapterHost.httpAdapter.getHttpServer() as Server;
  }

  #check(): void {
    if (this.#isClosing && this.#open.size === 0) {
      this.#answered.resolve();
    }
  }
}
