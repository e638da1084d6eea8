interface ClientScope {
  /** Called when the client has disconnected. */
  abandon(): void;
}

/** Keeps the open scopes of each client, and tells them when it disconnects. Needs only one listener per client. */
export class ClientScopes<Scope extends ClientScope> {
  readonly #scopes = new WeakMap<object, Set<Scope>>();

  of(client: object, listen: (onGone: () => void) => void): Set<Scope> {
    const known = this.#scopes.get(client);
    if (known !== undefined) {
      return known;
    }
    const scopes = new Set<Scope>();
    this.#scopes.set(client, scopes);
    listen(() => scopes.forEach((scope) => scope.abandon()));
    return scopes;
  }
}
