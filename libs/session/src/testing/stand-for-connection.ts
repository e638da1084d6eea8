import type { PoolClient } from '../session/pool/pool.js';

type Connection = PoolClient['connection'];

/** Stands for what a client of node-postgres speaks to the server with: to destroy it ends no more than `end` does. */
export function standForConnection({ connection = {} }: PoolClient, end: () => void): Connection {
  const { stream } = connection;
  return Object.create(connection, {
    stream: {
      value: {
        destroy: end,
        get bytesRead() {
          return stream?.bytesRead;
        },
        remoteAddress: stream?.remoteAddress,
      },
    },
    parsedStatements: {
      get: () => connection.parsedStatements,
      set: (statements: unknown) => {
        connection.parsedStatements = statements;
      },
    },
  }) as Connection;
}
