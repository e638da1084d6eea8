import 'reflect-metadata';
import { Sse } from '@nestjs/common';

import { type Seam, warnOfSeam } from '../../session/assert-seam.js';

const SSE: Seam = {
  seam: 'nestjs/sse-metadata',
  of: '@nestjs/common',
  loss: 'With the option `http.transaction`, a route of server-sent events keeps a transaction open while its client listens',
};
const SSE_METADATA = '__sse__';

/** Whether the handler of a route answers with server-sent events. */
export function isSseRoute(handler: object): boolean {
  // Seam: nestjs/sse-metadata
  return Reflect.hasMetadata(SSE_METADATA, handler);
}

/** Warns when `@Sse()` no longer marks a route in the known way. */
export function checkSseMetadata(): void {
  const probe = { events: checkSseMetadata.bind(undefined) };
  Sse()(probe, 'events', { value: probe.events });
  if (!isSseRoute(probe.events)) {
    warnOfSeam([SSE_METADATA], SSE);
  }
}
