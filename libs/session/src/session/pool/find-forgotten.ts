import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Pool, PoolClient } from './pool.js';
import { askAside } from './ask-aside.js';

/** What the server says of the connections that owe an answer. */
export interface Forgotten<Connection> {
  /** Whether nothing came back to the question, or to the new connection that it was to be asked on. */
  readonly server: 'answers' | 'silence' | 'unreachable';
  /** Those that the server has answered, or never heard: it waits for us, as we wait for it. */
  readonly connections: readonly Connection[];
  /** Those that the server does not know: they have ended, or one address leads to several servers. */
  readonly unknown: readonly Connection[];
}

const NONE = { connections: [], unknown: [] };

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
  // What has come to the others meanwhile is read before anything is decided.
  await nextTurn();
  if (answer === 'unreachable' || answer === 'silence') {
    return { ...NONE, server: answer };
  }
  if (answer === undefined) {
    return { ...NONE, server: 'answers' };
  }
  const states = new Map(answer.rows.map(({ pid, waits }) => [pid, waits]));
  const known = connections.filter(
    ({ client }) => typeof client.processID === 'number' && addressOf(client) === answer.address,
  );
  return {
    server: 'answers',
    connections: known.filter(({ client }) => states.get(client.processID as number) === true),
    unknown: known.filter(({ client }) => !states.has(client.processID as number)),
  };
}

/** A name may lead to several servers, each with processes of its own. */
function addressOf({ connection }: PoolClient): string | undefined {
  return connection?.stream?.remoteAddress;
}
