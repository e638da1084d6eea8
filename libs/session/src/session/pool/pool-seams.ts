import { checkSeam, type Seam, warnOfSeam } from '../assert-seam.js';

const LOSS = 'Lost connections and waits for connections are not seen in full';
const POOL: Seam = { seam: 'pg/pool', of: 'pg', via: '@mikro-orm/postgresql', loss: LOSS };
const CLIENT: Seam = { seam: 'pg/client', of: 'pg', via: '@mikro-orm/postgresql', loss: LOSS };
const ON_POOL_CREATED: Seam = { seam: 'mikro-orm/pool', of: '@mikro-orm/postgresql', loss: LOSS };
const BEGIN: Seam = { seam: 'kysely/begin', of: 'kysely', loss: LOSS };

/** Warns when a pool of node-postgres is not as it was. */
export function checkPool(pool: unknown): void {
  checkSeam(pool, ['options', 'connect', 'end', 'on', 'totalCount', 'idleCount', 'waitingCount', '_clients'], POOL);
}

/** Warns when a connection of node-postgres is not as it was. */
export function checkClient(client: object): void {
  const { connection } = client as { readonly connection?: unknown };
  const members = ['query', 'release', 'on', 'once', 'off', 'end', 'getTransactionStatus', 'connection', 'processID'];
  if (checkSeam(client, members, CLIENT)) {
    checkSeam(connection, ['stream'], CLIENT);
  }
}

/** Warns of a transaction whose connection nobody knows. */
export function warnOfUnfollowed(isPoolKnown: boolean): void {
  if (isPoolKnown) {
    warnOfSeam(['begin'], BEGIN);
  } else {
    warnOfSeam(['onPoolCreated'], ON_POOL_CREATED);
  }
}
