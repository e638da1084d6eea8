/** What the opener of a scope had to say about it: a tenant, a user. */
export type ScopeInfo = Readonly<Record<string, unknown>>;

export const NO_INFO: ScopeInfo = Object.freeze({});

/**
 * Gives what is known of a scope: what its opener says of it, and for the rest what is known of the scope that it was
 * started in, also when that one has ended since.
 */
export function inheritInfo(
  own: ScopeInfo | undefined,
  startedIn: { readonly info: ScopeInfo } | undefined,
): ScopeInfo {
  const inherited = startedIn?.info ?? NO_INFO;
  if (own === undefined) {
    return inherited;
  }
  return inherited === NO_INFO ? own : { ...inherited, ...own };
}
