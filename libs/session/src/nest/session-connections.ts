import { types } from 'node:util';

import type { InjectionToken } from '@nestjs/common';

import { assertBeginOptions } from '../session/transaction/assert-begin-options.js';
import type { ScopeInfo } from '../session/scope/scope-info.js';
import type { BeginOptions } from '../session/transaction/begin-options.js';
import type { SessionSource } from '../session/session-source.js';
import type { HttpOptions, HttpRequest } from './http/http-options.js';
import type { SessionModuleOptions } from './session-module-options.js';

interface Connection {
  readonly source: SessionSource;
  readonly options: SessionModuleOptions;
}

/** A transaction that a request asks for. */
export interface WantedTransaction {
  readonly source: SessionSource;
  readonly options: BeginOptions;
  readonly http: HttpOptions;
}

/** Keeps the options of every connection that SessionModule was imported for. */
export class SessionConnections {
  /** The tokens of the sessions that are request-scoped providers. */
  readonly requestScoped = new Set<InjectionToken>();
  readonly #connections: Connection[] = [];

  add(source: SessionSource, options: SessionModuleOptions): void {
    this.#connections.push({ source, options });
  }

  get sources(): readonly SessionSource[] {
    return this.#connections.map(({ source }) => source);
  }

  get wantHttpScopes(): boolean {
    return this.#connections.some(({ options: { http } }) => http !== false);
  }

  get wantTransactions(): boolean {
    return this.#connections.some(({ options: { http } }) => http !== false && http?.transaction !== undefined);
  }

  /** Returns the transactions for a request, from the options of all connections. */
  transactionsOf(request: HttpRequest): WantedTransaction[] {
    return this.#connections.flatMap(({ source, options: { http } }) => {
      const options = http === false ? undefined : beginOptions(http?.transaction, request);
      return http === false || http === undefined || options === undefined ? [] : [{ source, options, http }];
    });
  }

  /** Returns the info of a request, from the options of all connections. */
  httpInfo(request: HttpRequest): ScopeInfo {
    let info: ScopeInfo = {};
    for (const { options } of this.#connections) {
      const { http } = options;
      if (http !== false && http?.info !== undefined) {
        const told: object = http.info(request);
        if (told instanceof Promise) {
          throw new TypeError(
            'Expected `http.info` to return an object, got a promise, whose value would come too late.',
          );
        }
        info = { ...info, ...told };
      }
    }
    return info;
  }
}

function beginOptions(wanted: HttpOptions['transaction'], request: HttpRequest): BeginOptions | undefined {
  if (typeof wanted !== 'function') {
    return wanted === true ? {} : wanted;
  }
  const options = wanted(request);
  if (types.isPromise(options)) {
    throw new TypeError(
      'Expected `http.transaction` to return an object, got a promise, whose value would come too late.',
    );
  }
  if (options !== undefined) {
    assertBeginOptions('SessionModule', options, 'http.transaction.');
  }
  return options;
}
