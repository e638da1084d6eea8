import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Pool, PoolClient } from './pool.js';
import { askAside } from './ask-aside.js';

/** The state of the connections that wait for an answer, as the server says. */
export interface Forgotten<Connection> {
  /** `silence`: the question got no answer. `unreachable`: the new connection for the question got no answer. */
  readonly server: 'answers' | 'silence' | 'unreachable';
  /**
   * The connections whose answer or statement was lost: the server waits for a statement, and we wait for an answer.
   */
  readonly connections: readonly Connection[];
  /** The connections that the server does not know: they have ended, or several servers have the same address. */
  readonly unknown: readonly Connection[];
}

const NONE = { connections: [], unknown: [] };

// Through a pooler, the process id of a connection is not that of the server. The column `own` shows that.
const SQL = `select pid, pg_backend_pid() as own, pid <> pg_backend_pid()
    and (state like 'idle%' or wait_event in ('ClientRead', 'ClientWrite')) as waits
  from pg_stat_activity
  where datname = current_database() and usename = session_user`;

interface Row {
  readonly pid: number;
  readonly own: number;
  readonly waits: boolean | null;
}

/** Asks the server, on a connection beside the pool, on which of these connections it waits for a statement. */
export async function findForgotten<Connection extends { readonly client: PoolClient }>(
  pool: Pool,
  connections: readonly Connection[],
): Promise<Forgotten<Connection>> {
  const answer = await askAside(pool, async (aside) => {
    // Seam: pg/client
    const { rows } = (await aside.query(SQL)) as { readonly rows: readonly Row[] };
    return rows[0]?.own === aside.processID ? { rows, address: addressOf(aside) } : undefined;
  });
  // Answers that have arrived in the meantime are read before the decision.
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

/** Returns the address of the server of a connection: one name may lead to several servers. */
function addressOf({ connection }: PoolClient): string | undefined {
  return connection?.stream?.remoteAddress;
}
