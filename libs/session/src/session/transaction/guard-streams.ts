import type { Connection, Transaction } from '@mikro-orm/core';

import { assertKyselyExecutor } from '../assert-kysely-transaction.js';
import { begunOf } from '../pool/begun-transaction.js';
import { readAfterEnd } from '../pool/portal.js';

interface Rows {
  readonly rows: readonly unknown[];
}

interface KyselyConnection {
  streamQuery(query: unknown, chunkSize: number): AsyncIterableIterator<Rows>;
}

/** The members of the executor of a Kysely transaction that are used here. */
interface Executor {
  /** Runs the callers one after the other, each with the connection. */
  provideConnection<Result>(use: (connection: KyselyConnection) => Promise<Result>): Promise<Result>;
}

/** The member that is used here of the executor of a Kysely instance that a session hands out. */
interface Streamer<Self> {
  withConnectionProvider(provider: unknown): Self;
}

interface KyselyTransaction {
  readonly isCommitted: boolean;
  readonly isRolledBack: boolean;
  getExecutor(): Executor;
}

interface StreamingExecutor {
  stream(query: unknown, chunkSize: number, options?: { readonly signal: AbortSignal }): AsyncIterable<Rows>;
}

interface StreamingConnection extends Connection {
  stream?: (
    query: unknown,
    params: unknown,
    transaction: unknown,
    ...rest: unknown[]
  ) => AsyncIterableIterator<unknown>;
}

/**
 * Lets the statements of a transaction run between two reads of its streams. Kysely reserves the connection of the
 * transaction for a stream until the stream ends. A statement inside the loop that reads the stream would wait for
 * itself.
 */
export function guardStreams(connection: Connection): void {
  const streaming: StreamingConnection = connection;
  // Seam: mikro-orm/connection
  const stream = streaming.stream?.bind(streaming);
  if (stream === undefined) {
    return;
  }
  streaming.stream = (query, params, transaction, ...rest) =>
    stream(query, params, begunOf(transaction)?.isClaimed === true ? inTurns(transaction) : transaction, ...rest);
}

/**
 * Returns the executor that begins the streams. In the transaction of a session, that is a copy whose streams let other
 * statements run between two reads. Kysely applies the plugins of the executor to their rows.
 */
export function streamerOf<Executor extends Streamer<Executor>>(executor: Executor, transaction: unknown): Executor {
  if (begunOf(transaction)?.isClaimed !== true) {
    return executor;
  }
  // Seam: kysely/stream
  const connection: KyselyConnection = {
    streamQuery: (query, chunkSize) =>
      streamInTurns(transaction as KyselyTransaction, { query, chunkSize, signal: undefined }),
  };
  return executor.withConnectionProvider({
    provideConnection: async (use: (connection: KyselyConnection) => Promise<unknown>) => use(connection),
  });
}

/** Replaces the transaction of a stream. */
function inTurns(transaction: Transaction): { getExecutor(): StreamingExecutor } {
  // Seam: kysely/stream
  const kysely = transaction as KyselyTransaction;
  assertKyselyExecutor(kysely.getExecutor());
  return {
    getExecutor: () => ({
      stream: (query, chunkSize, options) => streamInTurns(kysely, { query, chunkSize, signal: options?.signal }),
    }),
  };
}

interface Streamed {
  readonly query: unknown;
  readonly chunkSize: number;
  readonly signal: AbortSignal | undefined;
}

async function* streamInTurns(
  transaction: KyselyTransaction,
  { query, chunkSize, signal }: Streamed,
): AsyncGenerator<Rows, void> {
  const executor = transaction.getExecutor();
  let reading: AsyncIterableIterator<Rows> | undefined;
  const read = (): Promise<IteratorResult<Rows>> =>
    executor.provideConnection((connection) => (reading ??= connection.streamQuery(query, chunkSize)).next());
  try {
    for (;;) {
      signal?.throwIfAborted();
      if (transaction.isCommitted || transaction.isRolledBack) {
        throw readAfterEnd();
      }
      const next = await orAborted(read(), signal);
      if (next.done === true) {
        return;
      }
      yield next.value;
    }
  } finally {
    const closed = executor.provideConnection(async () => reading?.return?.());
    if (signal?.aborted === true) {
      // The close may wait for a read that still runs. The end of the transaction ends that read.
      closed.catch(() => undefined);
    } else {
      await closed;
    }
  }
}

/** Waits for `work`. Throws the reason of an abort that comes first. */
async function orAborted<Result>(work: Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
  if (signal === undefined) {
    return work;
  }
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    work.catch(() => undefined);
  }
}
