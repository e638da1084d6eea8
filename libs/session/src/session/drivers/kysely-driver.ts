/** The members of a compiled query of Kysely that are used here. */
export interface CompiledQuery {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

/** The interface of a connection in Kysely. */
export interface KyselyConnection {
  executeQuery(query: CompiledQuery, options?: unknown): Promise<unknown>;
  streamQuery(query: CompiledQuery, chunkSize: number, options?: unknown): AsyncIterableIterator<unknown>;
  cancelQuery?(control: unknown): Promise<void>;
  collectSessionInfo?(): Promise<void>;
  killSession?(control: unknown): Promise<void>;
}

export interface TransactionSettings {
  readonly accessMode?: string;
}

type InTransaction = (connection: KyselyConnection, name: string, compile: unknown) => Promise<void>;

/** The interface of a driver in Kysely. */
export interface KyselyDriver {
  init(options?: unknown): Promise<void>;
  acquireConnection(options?: unknown): Promise<KyselyConnection>;
  beginTransaction(connection: KyselyConnection, settings: TransactionSettings): Promise<void>;
  commitTransaction(connection: KyselyConnection): Promise<void>;
  rollbackTransaction(connection: KyselyConnection): Promise<void>;
  savepoint?: InTransaction;
  rollbackToSavepoint?: InTransaction;
  releaseSavepoint?: InTransaction;
  releaseConnection(connection: KyselyConnection, options?: unknown): Promise<void>;
  destroy(options?: unknown): Promise<void>;
}

/** The interface of a dialect in Kysely. */
export interface KyselyDialect {
  createDriver(): KyselyDriver;
  createAdapter(): object;
  createQueryCompiler(): unknown;
  createIntrospector(db: unknown): unknown;
}
