import type { KyselyConnection } from './kysely-driver.js';

/** The state of one connection, as its driver package knows it. */
export interface NativeLink {
  /** Whether a transaction is open. Undefined where that is not known. */
  readonly isInTransaction: boolean | undefined;
  /** The process id of the connection on the server. Undefined where there is no server. */
  readonly processId: number | undefined;
  /** Asks the server whether a transaction is open. Undefined where that is always known, or never. */
  refresh?(): Promise<void>;
  /** Called once when the connection ends. */
  onEnd: ((reason: Error) => void) | undefined;
  /**
   * Ends the connection. Where it is the only one, ends only the work on it.
   *
   * @param closed settles when the streams that were half read are closed. Undefined where there was none
   * @returns when the connection can be given back. Undefined where that is now
   */
  destroy(
    reason: Error,
    connection: KyselyConnection,
    closed: Promise<unknown> | undefined,
  ): Promise<unknown> | undefined;
}

export interface OpenedLink {
  readonly connection: KyselyConnection;
  readonly link: NativeLink;
}

/** Opens connections of one pool. */
export interface NativeLinks {
  /** The largest number of connections. */
  readonly limit: number;
  /** The number of connections that are known to be open. */
  readonly size: number;
  open(connect: () => Promise<KyselyConnection>): Promise<OpenedLink>;
  /** Ends all connections, whatever they are doing. */
  destroyAll(reason: Error): void;
}
