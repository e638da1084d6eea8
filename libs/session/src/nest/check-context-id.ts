import { ContextIdFactory } from '@nestjs/core';
import { REQUEST_CONTEXT_ID } from '@nestjs/core/internal';

import { type Seam, warnOfSeam } from '../session/assert-seam.js';

const CONTEXT_ID: Seam = {
  seam: 'nestjs/request-context-id',
  of: '@nestjs/core',
  loss: 'Messages of one client, and operations of one request, share their request-scoped providers',
};

/** Warns when NestJS does not look for the request-scoped providers of an object where it did. */
export function checkContextId(): void {
  const id = ContextIdFactory.create();
  if (ContextIdFactory.getByRequest({ [REQUEST_CONTEXT_ID]: id }) !== id) {
    warnOfSeam(['REQUEST_CONTEXT_ID'], CONTEXT_ID);
  }
}
