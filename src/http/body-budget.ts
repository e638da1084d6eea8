import type { IncomingMessage, ServerResponse } from 'node:http';

import { OverloadedException } from '../errors/overloaded.exception.js';

/**
 * The largest total size of the bodies that are being handled. A parsed body takes several times its size in memory.
 */
const BUDGET_BYTES = 8 * 1024 * 1024;

const RETRY_AFTER_S = 1;

type Middleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;

/**
 * Refuses a request while the bodies of other unanswered requests take too much memory. Use it before the body parser.
 *
 * @param limit the bytes of the largest body. A body of unknown size counts as one of this size
 */
export function bodyBudget(limit: number): Middleware {
  let used = 0;
  return (request, response, next) => {
    const size = Math.min(sizeOf(request) ?? limit, limit);
    if (size > 0 && used > 0 && used + size > BUDGET_BYTES) {
      response.setHeader('Connection', 'close');
      next(new OverloadedException('The server has as many requests as it can hold. Try again.', RETRY_AFTER_S));
      return;
    }
    used += size;
    response.once('close', () => (used -= size));
    next();
  };
}

function sizeOf({ headers }: IncomingMessage): number | undefined {
  if (headers['transfer-encoding'] !== undefined) {
    return undefined;
  }
  return Number(headers['content-length'] ?? 0);
}
