import type { Connection, IsolationLevel, MikroORM } from '@mikro-orm/core';

import type { SqlLexis } from '../pool/sql-statements.js';
import type { NativeLinks } from './native-link.js';

/** Runs a statement on the connection in question, and gives its rows. */
type Ask = (sql: string) => Promise<readonly Readonly<Record<string, unknown>>[]>;

/** What is to be known of a database other than PostgreSQL, and of the package that speaks to it. */
export interface DriverKnowledge {
  /** As its users call it. */
  readonly name: string;
  /** What sessions cannot see or do there, as sentences. */
  readonly unseen: string;
  /** What a transaction has where nobody says otherwise. */
  readonly isolationLevel: IsolationLevel;
  readonly lexis: SqlLexis;
  /** What to do where a wait for a connection cannot end. @default to make the pool larger */
  readonly remedy?: string;
  /** Whether a connection can be closed to be rid of its settings. */
  readonly canReplace: boolean;
  /** How many connections there can be, as the options of MikroORM say. */
  limitOf(config: MikroORM['config']): number;
  /** Lets there be no more than that many connections. */
  limitTo(config: MikroORM['config'], limit: number): void;
  /** Whether each thread has as many connections as there can be, and not a share of them. */
  readonly hasOwnInThreads: boolean;
  /** Why threads cannot work on the same database. */
  findThreadObstacle(config: MikroORM['config']): string | undefined;
  /** Finds a statement before which the database would commit the transaction that it is in. */
  findImplicitCommit(sql: string): string | undefined;
  /** Whether a statement changes its connection for longer than a transaction, as far as its text tells. */
  changesConnection(sql: string): boolean;
  /** Whether nothing can be heard any more of a connection on which a statement failed so. */
  endsConnection(error: unknown): boolean;
  /** Whether the database has rolled back the whole transaction in which a statement failed so. */
  hasRolledBack(error: unknown, ask: Ask): Promise<boolean>;
  openLinks(connection: Connection, config: MikroORM['config']): NativeLinks;
}
