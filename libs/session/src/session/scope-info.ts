/** What the opener of a scope had to say about it: a tenant, a user. */
export type ScopeInfo = Readonly<Record<string, unknown>>;

/**
 * Gives what is known of a scope: what its opener says of it, and for the rest what is known of the scope that it was
 * started in, also when that one has ended since. It is a copy: what is written there does not get about.
 */
export function inheritInfo(
  own: ScopeInfo | undefined,
  startedIn: { readonly info: ScopeInfo } | undefined,
): ScopeInfo {
  return { ...startedIn?.info, ...own };
}
