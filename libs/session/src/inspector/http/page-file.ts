import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';

/** The built page, beside the compiled library. */
const FOLDER = new URL('../../../page/', import.meta.url);

const TYPES = {
  'page.js': 'text/javascript; charset=utf-8',
  'page.css': 'text/css; charset=utf-8',
  'troubleshooting.html': 'text/html; charset=utf-8',
} as const;

export type PageFile = keyof typeof TYPES;

/** The page loads files only from this server, and shows data of users only as text. */
const POLICY =
  "default-src 'none';script-src 'self';style-src 'self';img-src 'self' data:;connect-src 'self';base-uri 'none';" +
  "form-action 'none';frame-ancestors 'none'";

const HEADERS = {
  'Cache-Control': 'no-store, no-transform',
  'Content-Security-Policy': POLICY,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
} as const;

export function sendFile(response: ServerResponse, file: PageFile, isZipped: boolean): void {
  const plain = readFileSync(new URL(file, FOLDER));
  send(response, TYPES[file], isZipped ? gzipSync(plain) : plain, isZipped ? { 'Content-Encoding': 'gzip' } : {});
}

export function sendText(response: ServerResponse, type: string, text: string): void {
  send(response, type, Buffer.from(text));
}

/** @param root the path of the files of the page, relative to its own address */
export function renderPage(response: ServerResponse, root: string): void {
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Session inspector</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${root}page.css">
<script type="module" src="${root}page.js"></script>
</head>
<body>
<div id="app"><noscript>The session inspector needs JavaScript.</noscript></div>
</body>
</html>
`;
  sendText(response, 'text/html; charset=utf-8', html);
}

function send(response: ServerResponse, type: string, body: Buffer, more: Readonly<Record<string, string>> = {}): void {
  response.writeHead(200, { ...HEADERS, ...more, 'Content-Type': type, 'Content-Length': body.byteLength });
  response.end(body);
}
