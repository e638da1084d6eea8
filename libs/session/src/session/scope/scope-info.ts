/** What the opener of a scope had to say about it: a tenant, a user. */
export type ScopeInfo = Readonly<Record<string, unknown>>;

interface OwnInfo {
  readonly info?: ScopeInfo | undefined;
  /** What the library knows of a scope by itself. */
  readonly origin?: ScopeInfo | undefined;
}

interface Starter {
  readonly info: ScopeInfo;
  readonly portableInfo: ScopeInfo;
}

/**
 * Returns what is known of a scope: what its opener says of it, and for the rest what is known of the scope that it was
 * started in, also when that one has ended since. It is a copy: what is written there does not get about.
 */
export function inheritInfo({ info, origin }: OwnInfo, startedIn: Starter | undefined): ScopeInfo {
  return { ...startedIn?.info, ...origin, ...info };
}

/** Returns what people have said of a scope and those around it. The same object as `all` where that is everything. */
export function inheritPortableInfo(
  { info, origin }: OwnInfo,
  startedIn: Starter | undefined,
  all: ScopeInfo,
): ScopeInfo {
  const isAll = origin === undefined && (startedIn === undefined || startedIn.portableInfo === startedIn.info);
  return isAll ? all : { ...startedIn?.portableInfo, ...info };
}
