import { ContextIdFactory } from '@nestjs/core';

import { type Seam, warnOfSeam } from '../session/assert-seam.js';

const CONTEXT_ID: Seam = {
  seam: 'nestjs/request-context-id',
  of: '@nestjs/core',
  loss: 'Messages of one client, and operations of one request, share their request-scoped providers',
};

/**
 * The property in which NestJS keeps the context id of a request, a client or a GraphQL context. Versions of NestJS
 * export it from different files, but in all of them `getByRequest()` reads it first.
 */
export const REQUEST_CONTEXT_ID: symbol = findProperty() ?? Symbol('unknown');

/** Warns when NestJS no longer reads the context id of an object from this property. */
export function checkContextId(): void {
  const id = ContextIdFactory.create();
  if (ContextIdFactory.getByRequest({ [REQUEST_CONTEXT_ID]: id }) !== id) {
    warnOfSeam(['REQUEST_CONTEXT_ID'], CONTEXT_ID);
  }
}

function findProperty(): symbol | undefined {
  let found: symbol | undefined;
  // Returns an id to end the search. Otherwise NestJS would call the strategy of the application with this object.
  const get = (_: object, property: string | symbol): unknown => {
    found ??= typeof property === 'symbol' ? property : undefined;
    return ContextIdFactory.create();
  };
  // Seam: nestjs/request-context-id
  ContextIdFactory.getByRequest(new Proxy({}, { get }), []);
  return found;
}
