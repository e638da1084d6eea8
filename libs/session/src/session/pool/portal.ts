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

/** The methods that node-postgres calls on a query object that is not its own. */
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
  /** The original `query` of the client. */
  readonly send: PoolClient['query'];
  /** Returns whether the transaction is open and still has its connection. */
  readonly isInTime: () => boolean;
  /** The name of the portal, unique on its connection. */
  readonly name: string;
  readonly text: string;
  readonly values: readonly unknown[];
}

/** Makes the error of a read after the end of the transaction: another user may have the connection by then. */
export function readAfterEnd(): SessionStateError {
  return new SessionStateError(
    'A stream was read after the end of its transaction. Read it to its end first, or leave its loop with break.',
  );
}

/**
 * The rows of a statement in a transaction, which the server keeps until they are read. The connection is free between
 * two reads. pg-cursor would occupy it until the last row, and a statement inside the loop that reads would wait for
 * itself.
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

  /** Closes the portal. Does nothing when the transaction or the connection has ended: the portal ended with it. */
  async close(): Promise<void> {
    const { name, isInTime } = this.#options;
    if (!this.#isOpen || !isInTime()) {
      return;
    }
    this.#isOpen = false;
    this.#isDone = true;
    // Ignores an error: a rollback to a savepoint may have closed the portal.
    await this.#ask((wire) => wire.close({ type: 'P', name })).catch(() => undefined);
  }

  /** Resolves when the server has answered, and the connection is free. */
  #ask(question: (wire: Wire) => void, rows: Row[] = []): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Seam: pg/submittable
    const asked: Submittable = {
      /** A property, because node-postgres replaces it to stop its `query_timeout`. */
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
