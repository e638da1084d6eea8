import type { AnyResponse } from './watch-response.js';

type Settle = (value?: unknown) => void;

interface FastifyReply {
  readonly raw?: AnyResponse;
  then?(fulfilled: Settle, rejected?: Settle): unknown;
}

/**
 * Ends the wait for a Fastify reply when its stream closes. NestJS awaits the reply, and Fastify waits for the end of
 * the response. A response over HTTP/2 that was reset before does not report its end, so that the handler would never
 * settle.
 */
export function settleWithStream(response: unknown): void {
  const reply = response as FastifyReply;
  const stream = reply.raw?.stream;
  const wait = reply.then;
  if (stream === undefined || wait === undefined) {
    return;
  }
  // Seam: fastify/reply
  // oxlint-disable-next-line unicorn/no-thenable -- a reply is one
  reply.then = (fulfilled, rejected) => {
    if (stream.destroyed) {
      fulfilled();
      return;
    }
    stream.once('close', () => fulfilled());
    wait.call(reply, fulfilled, rejected);
  };
}
