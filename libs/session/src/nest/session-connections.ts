import type { InjectionToken } from '@nestjs/common';

import type { ScopeInfo } from '../session/scope-info.js';
import type { HttpRequest } from './http-options.js';
import type { SessionModuleOptions } from './session-module-options.js';

/** Knows the options of every connection that SessionModule was imported for. */
export class SessionConnections {
  /** The tokens of the sessions that are request-scoped providers. */
  readonly requestScoped = new Set<InjectionToken>();
  readonly #options: SessionModuleOptions[] = [];

  add(options: SessionModuleOptions): void {
    this.#options.push(options);
  }

  get wantHttpScopes(): boolean {
    return this.#options.some(({ http }) => http !== false);
  }

  /** Gives what the options of all connections have to say of a request. */
  httpInfo(request: HttpRequest): ScopeInfo {
    let info: ScopeInfo = {};
    for (const { http } of this.#options) {
      if (http !== false && http?.info !== undefined) {
        const told: object = http.info(request);
        if (told instanceof Promise) {
          throw new TypeError('Expected `http.info` to return an object, got a promise, which tells too late.');
        }
        info = { ...info, ...told };
      }
    }
    return info;
  }
}
