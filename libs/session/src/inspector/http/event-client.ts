import type { ServerResponse } from 'node:http';

/** How long somebody may not read before the connection is ended. */
const PATIENCE_MS = 60_000;

/** Somebody who looks at the page. */
export class EventClient {
  /** Whether it has not got all that has changed, and is to get the whole state anew. */
  hasMissed = false;
  #isFull = false;
  #fullSince = 0;

  constructor(private readonly response: ServerResponse) {}

  /** Whether it has not read what it was sent. */
  get isFull(): boolean {
    return this.#isFull;
  }

  open(): void {
    this.response.writeHead(200, {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-store, no-transform',
      'X-Accel-Buffering': 'no',
      'X-Content-Type-Options': 'nosniff',
    });
    this.response.on('drain', () => {
      this.#isFull = false;
    });
  }

  send(message: Buffer): void {
    this.hasMissed = false;
    if (!this.response.write(message)) {
      this.#isFull = true;
      this.#fullSince = performance.now();
    }
  }

  /** Takes note that something has changed which it could not be sent. */
  missed(): void {
    this.hasMissed = true;
    if (performance.now() - this.#fullSince > PATIENCE_MS) {
      this.response.destroy();
    }
  }

  /** Finds connections that are gone. */
  beat(): void {
    if (!this.#isFull) {
      this.response.write(':\n\n');
    }
  }

  end(): void {
    this.response.end();
  }
}
