/** Data that the opener of a scope gives it: a tenant, a user. */
export type ScopeInfo = Readonly<Record<string, unknown>>;

interface OwnInfo {
  readonly info?: ScopeInfo | undefined;
  /** Data that the library itself knows about a scope. */
  readonly origin?: ScopeInfo | undefined;
}

interface Starter {
  readonly info: ScopeInfo;
  readonly portableInfo: ScopeInfo;
}

/**
 * Returns the info of a scope: that of its opener, and the rest from the scope that it was started in, even if that one
 * has ended. The result is a copy, so that writing to it changes no other scope.
 */
export function inheritInfo({ info, origin }: OwnInfo, startedIn: Starter | undefined): ScopeInfo {
  return { ...startedIn?.info, ...origin, ...info };
}

/**
 * Returns the info that openers gave to a scope and to the scopes around it, without `origin`. Returns `all` itself
 * where nothing is left out.
 */
export function inheritPortableInfo(
  { info, origin }: OwnInfo,
  startedIn: Starter | undefined,
  all: ScopeInfo,
): ScopeInfo {
  const isAll = origin === undefined && (startedIn === undefined || startedIn.portableInfo === startedIn.info);
  return isAll ? all : { ...startedIn?.portableInfo, ...info };
}
