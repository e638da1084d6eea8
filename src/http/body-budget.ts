import type { IncomingMessage, ServerResponse } from 'node:http';

import { OverloadedException } from '../errors/overloaded.exception.js';

/** Read, parsed and checked, a body takes several times its size. */
const BUDGET_BYTES = 8 * 1024 * 1024;

const RETRY_AFTER_S = 1;

type Middleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;

/**
 * Refuses bodies while those of other requests that are not answered yet take too much memory. Belongs before the body
 * parser.
 *
 * @param limit bytes of the largest body, which one of unknown size is taken for
 */
export function bodyBudget(limit: number): Middleware {
  let used = 0;
  return (request, response, next) => {
    const size = Math.min(sizeOf(request) ?? limit, limit);
    if (size > 0 && used > 0 && used + size > BUDGET_BYTES) {
      response.setHeader('Connection', 'close');
      next(
        new OverloadedException('The server has as many requests at hand as it can hold. Try again.', RETRY_AFTER_S),
      );
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
