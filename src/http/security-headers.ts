import type { IncomingMessage, ServerResponse } from 'node:http';

type Middleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

const HEADERS = new Map([
  ['X-Content-Type-Options', 'nosniff'],
  ['X-Frame-Options', 'DENY'],
  ['Referrer-Policy', 'no-referrer'],
  ['Cross-Origin-Opener-Policy', 'same-origin'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
]);

/** The policy of answers in JSON: they load nothing, and no page may frame them. */
const DATA_POLICY = "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none'";

/** The page of the demo loads scripts and styles from this server, and has no inline ones. */
const DEMO_POLICY =
  "default-src 'none';script-src 'self';style-src 'self';img-src 'self';connect-src 'self';base-uri 'none';" +
  "form-action 'none';frame-ancestors 'none'";

/**
 * The documentation loads its scripts from this server. Its HTML has an inline style sheet, and its scripts set styles.
 */
const DOCS_POLICY =
  "default-src 'none';script-src 'self';style-src 'self' 'unsafe-inline';img-src 'self' data:;font-src 'self' data:;" +
  "connect-src 'self';base-uri 'none';form-action 'self';frame-ancestors 'none'";

/** Sets security headers on every answer, also on errors: what a browser must not do with it. */
export function securityHeaders(): Middleware {
  return (request, response, next) => {
    response.setHeaders(HEADERS);
    response.setHeader('Content-Security-Policy', policyFor(request.url ?? ''));
    next();
  };
}

function policyFor(url: string): string {
  if (/^\/docs([/?]|$)/i.test(url)) {
    return DOCS_POLICY;
  }
  return /^\/(index\.html)?(\?|$)/.test(url) ? DEMO_POLICY : DATA_POLICY;
}
