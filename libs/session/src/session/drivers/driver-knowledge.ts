import type { Connection, IsolationLevel, MikroORM } from '@mikro-orm/core';

import type { SqlLexis } from '../pool/sql-statements.js';
import type { NativeLinks } from './native-link.js';

/** Runs a statement on the connection, and returns its rows. */
type Ask = (sql: string) => Promise<readonly Readonly<Record<string, unknown>>[]>;

/** The properties of a database other than PostgreSQL, and of its driver package. */
export interface DriverKnowledge {
  /** The name of the database. */
  readonly name: string;
  /** What sessions cannot see or do there, as sentences. */
  readonly unseen: string;
  /** What sessions cannot see either where the driver package does not show its pool. */
  readonly unseenWithoutPool?: string;
  /** The default isolation level of a transaction. */
  readonly isolationLevel: IsolationLevel;
  readonly lexis: SqlLexis;
  /** What to do when a wait for a connection can never end, for the error. @default 'make the pool larger' */
  readonly remedy?: string;
  /** Whether a connection can be closed to lose its settings. */
  readonly canReplace: boolean;
  /** Returns the largest number of connections, from the options of MikroORM. */
  limitOf(config: MikroORM['config']): number;
  /** Sets the largest number of connections. */
  limitTo(config: MikroORM['config'], limit: number): void;
  /** Whether each thread has the full number of connections, and not a share. */
  readonly hasOwnInThreads: boolean;
  /** Returns why threads cannot use the same database. Undefined where they can. */
  findThreadObstacle(config: MikroORM['config']): string | undefined;
  /** Finds a statement before which the database would commit the open transaction. */
  findImplicitCommit(sql: string): string | undefined;
  /** Whether the text of a statement changes the connection for longer than a transaction. */
  changesConnection(sql: string): boolean;
  /** Whether an error of a statement means that its connection is lost. */
  endsConnection(error: unknown): boolean;
  /** Whether an error of a statement means that the database has rolled back the whole transaction. */
  hasRolledBack(error: unknown, ask: Ask): Promise<boolean>;
  openLinks(connection: Connection, config: MikroORM['config']): NativeLinks;
}
