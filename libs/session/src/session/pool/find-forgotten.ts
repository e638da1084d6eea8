import type { Pool, PoolClient } from '../watch-pools.js';
import { askAside } from './ask-aside.js';

/** What the server says of the connections that owe an answer. */
export interface Forgotten<Connection> {
  /** Whether the server cannot be reached at all. */
  readonly isUnreachable: boolean;
  /** Those that the server has answered, or never heard: it waits for us, as we wait for it. */
  readonly connections: readonly Connection[];
}

const NONE = { isUnreachable: false, connections: [] };

// The process of a connection through a pooler is not that of the server: `own` tells.
const SQL = `select pid, pg_backend_pid() as own, pid <> pg_backend_pid()
    and (state like 'idle%' or wait_event in ('ClientRead', 'ClientWrite')) as waits
  from pg_stat_activity
  where datname = current_database() and usename = session_user`;

interface Row {
  readonly pid: number;
  readonly own: number;
  readonly waits: boolean | null;
}

/** Asks the server which of some connections of a pool it waits for, on a connection beside the pool. */
export async function findForgotten<Connection extends { readonly client: PoolClient }>(
  pool: Pool,
  connections: readonly Connection[],
): Promise<Forgotten<Connection>> {
  const answer = await askAside(pool, async (aside) => {
    // Seam: pg/client
    const { rows } = (await aside.query(SQL)) as { readonly rows: readonly Row[] };
    return rows[0]?.own === aside.processID ? { rows, address: addressOf(aside) } : undefined;
  });
  if (answer === 'silence') {
    return { isUnreachable: true, connections: [] };
  }
  if (answer === undefined) {
    return NONE;
  }
  const waiting = new Set(answer.rows.filter(({ waits }) => waits === true).map(({ pid }) => pid));
  return {
    isUnreachable: false,
    connections: connections.filter(
      ({ client }) =>
        typeof client.processID === 'number' && waiting.has(client.processID) && addressOf(client) === answer.address,
    ),
  };
}

/** A name may lead to several servers, each with processes of its own. */
function addressOf({ connection }: PoolClient): string | undefined {
  return connection?.stream?.remoteAddress;
}
