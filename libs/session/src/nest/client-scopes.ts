import type { MessageScope } from './message-scope.js';

/** Knows the open scopes of each client, and tells them when it disconnects, with one listener per client. */
export class ClientScopes {
  readonly #scopes = new WeakMap<object, Set<MessageScope>>();

  of(client: object, listen: (onGone: () => void) => void): Set<MessageScope> {
    const known = this.#scopes.get(client);
    if (known !== undefined) {
      return known;
    }
    const scopes = new Set<MessageScope>();
    this.#scopes.set(client, scopes);
    listen(() => scopes.forEach((scope) => scope.abandon()));
    return scopes;
  }
}
