import type { KyselyConnection } from './kysely-driver.js';

/** What the package that speaks to a database tells of one connection. */
export interface NativeLink {
  /** Whether a transaction is open on it, as far as is known. */
  readonly isInTransaction: boolean | undefined;
  /** Called once when it ends. */
  onEnd: ((reason: Error) => void) | undefined;
  /** Ends it, or where there is no other one what goes on on it. */
  destroy(reason: Error, connection: KyselyConnection): void;
}

export interface OpenedLink {
  readonly connection: KyselyConnection;
  readonly link: NativeLink;
}

/** Opens connections of one pool. */
export interface NativeLinks {
  /** How many there can be. */
  readonly limit: number;
  open(connect: () => Promise<KyselyConnection>): Promise<OpenedLink>;
  /** Ends all of them, whatever they are at. */
  destroyAll(reason: Error): void;
}
