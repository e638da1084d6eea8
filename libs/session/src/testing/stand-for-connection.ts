import type { PoolClient } from '../session/pool/pool.js';

type Connection = PoolClient['connection'];

/** Replaces the `connection` of a client of node-postgres. A destroy() of it only calls `end`. */
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
