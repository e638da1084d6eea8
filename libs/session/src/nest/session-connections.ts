import type { SessionModuleOptions } from './session-module-options.js';

/** Knows the options of every connection that SessionModule was imported for. */
export class SessionConnections {
  readonly #options: SessionModuleOptions[] = [];

  add(options: SessionModuleOptions): void {
    this.#options.push(options);
  }

  get wantHttpScopes(): boolean {
    return this.#options.some(({ http }) => http !== false);
  }
}
