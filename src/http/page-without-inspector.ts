import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';

type Middleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

const LINK = /^.*href="sessions".*\n/m;

/** Serves the page without its link to the inspector, for an application that has none. */
export function pageWithoutInspector(file: string): Middleware {
  const html = readFileSync(file, 'utf8').replace(LINK, '');
  return ({ method, url = '' }, response, next) => {
    if (method !== 'GET' || !/^\/(?:index\.html)?(?:\?|$)/.test(url)) {
      next();
      return;
    }
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Content-Length': Buffer.byteLength(html) });
    response.end(html);
  };
}
