import { SessionStateError } from '../session-error.js';
import type { PoolClient } from './pool.js';
import type { Wire } from './wire.js';

interface Field {
  readonly name: string;
  readonly dataTypeID: number;
  readonly format: string;
}

interface Column {
  readonly name: string;
  readonly parse: (value: string) => unknown;
}

/** What node-postgres asks of a query of another kind than its own. */
interface Submittable {
  callback: (error: unknown) => void;
  submit: (wire: Wire) => void;
  handleRowDescription: (message: { readonly fields: readonly Field[] }) => void;
  handleDataRow: (message: { readonly fields: readonly (string | null)[] }) => void;
  handlePortalSuspended: () => void;
  handleCommandComplete: () => void;
  handleEmptyQuery: () => void;
  handleError: (error: unknown) => void;
  handleReadyForQuery: () => void;
}

type Row = Record<string, unknown>;

export interface PortalOptions {
  readonly client: PoolClient;
  /** The `query` of the client, as node-postgres made it. */
  readonly send: PoolClient['query'];
  /** Whether the transaction is open, and its connection no other's. */
  readonly isInTime: () => boolean;
  /** Unique on its connection. */
  readonly name: string;
  readonly text: string;
  readonly values: readonly unknown[];
}

/** Fails a read whose connection may be another's by now. */
export function readAfterEnd(): SessionStateError {
  return new SessionStateError(
    'A stream was read after the end of its transaction. Read it to its end before, or leave its loop with break.',
  );
}

/**
 * The rows of a statement in a transaction, which the server keeps until they are read. The connection is free between two
 * reads, where pg-cursor keeps it busy to the last row: a statement of whoever reads would wait for itself.
 */
export class Portal {
  readonly #options: PortalOptions;
  #columns: readonly Column[] = [];
  #isOpen = false;
  #isDone = false;

  constructor(options: PortalOptions) {
    this.#options = options;
  }

  /** Returns the next rows; none when there are no more. */
  async read(count: number): Promise<readonly Row[]> {
    if (this.#isDone) {
      return [];
    }
    const { name, text, values, isInTime } = this.#options;
    if (!isInTime()) {
      throw readAfterEnd();
    }
    const rows: Row[] = [];
    await this.#ask((wire) => {
      if (!this.#isOpen) {
        this.#isOpen = true;
        wire.parse({ text });
        wire.bind({ portal: name, values });
        wire.describe({ type: 'P', name });
      }
      wire.execute({ portal: name, rows: count });
    }, rows);
    return rows;
  }

  /** Does nothing where the transaction has ended, or the connection: the portal went with it. */
  async close(): Promise<void> {
    const { name, isInTime } = this.#options;
    if (!this.#isOpen || !isInTime()) {
      return;
    }
    this.#isOpen = false;
    this.#isDone = true;
    // The server does not mind when a rollback to a savepoint has closed it.
    await this.#ask((wire) => wire.close({ type: 'P', name })).catch(() => undefined);
  }

  /** Resolves when the server has answered, and the connection is free. */
  #ask(question: (wire: Wire) => void, rows: Row[] = []): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Seam: pg/submittable
    const asked: Submittable = {
      /** Replaced where a `query_timeout` is to be stopped with it. */
      callback: (error) => (error === null ? resolve() : reject(error)),
      submit(wire) {
        question(wire);
        wire.sync();
      },
      handleRowDescription: ({ fields }) => this.#describe(fields),
      handleDataRow: ({ fields }) => rows.push(this.#toRow(fields)),
      handlePortalSuspended: () => undefined,
      handleCommandComplete: () => (this.#isDone = true),
      handleEmptyQuery: () => (this.#isDone = true),
      handleError(error) {
        this.callback(error);
      },
      handleReadyForQuery() {
        this.callback(null);
      },
    };
    this.#options.send(asked);
    return promise;
  }

  #describe(fields: readonly Field[]): void {
    const { client } = this.#options;
    this.#columns = fields.map(({ name, dataTypeID, format }) => ({
      name,
      parse: client.getTypeParser?.(dataTypeID, format) ?? String,
    }));
  }

  #toRow(values: readonly (string | null)[]): Row {
    const row: Row = {};
    for (const [nth, { name, parse }] of this.#columns.entries()) {
      const value = values[nth] ?? null;
      row[name] = value === null ? null : parse(value);
    }
    return row;
  }
}
