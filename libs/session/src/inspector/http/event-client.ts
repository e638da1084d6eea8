import type { ServerResponse } from 'node:http';

/** Milliseconds without a read after which the connection is ended. */
const PATIENCE_MS = 60_000;

/** A browser that shows the page. */
export class EventClient {
  /** Whether the client has missed a change, and has to get the whole state again. */
  hasMissed = false;
  #isFull = false;
  #fullSince = 0;

  constructor(private readonly response: ServerResponse) {}

  /** Whether the client has not read yet what was sent. */
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

  /** Notes that a change could not be sent to the client. */
  missed(): void {
    this.hasMissed = true;
    if (performance.now() - this.#fullSince > PATIENCE_MS) {
      this.response.destroy();
    }
  }

  /** Sends a sign of life, which finds lost connections. */
  beat(): void {
    if (!this.#isFull) {
      this.response.write(':\n\n');
    }
  }

  end(): void {
    this.response.end();
  }
}
