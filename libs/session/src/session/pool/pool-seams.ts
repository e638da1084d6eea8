import { checkSeam, type Seam, warnOfSeam } from '../assert-seam.js';

const LOSS = 'Lost connections and waits for connections are not seen in full';
const POOL: Seam = { seam: 'pg/pool', of: 'pg', via: '@mikro-orm/postgresql', loss: LOSS };
const CLIENT: Seam = { seam: 'pg/client', of: 'pg', via: '@mikro-orm/postgresql', loss: LOSS };
const POOL_CLIENT: Seam = {
  seam: 'pg/pool-client',
  of: 'pg',
  via: '@mikro-orm/postgresql',
  loss:
    'Whether the database answers is not asked on a connection beside the pool, and the loss of a connection that ' +
    'cancels a statement ends the process',
};
const PARSED_STATEMENTS: Seam = {
  seam: 'pg/parsed-statements',
  of: 'pg',
  via: '@mikro-orm/postgresql',
  loss: 'A statement with a name may fail on a connection that was reset',
  remedy: "Do without such statements, or set `resetConnections` to 'never'",
};
const SUBMITTABLE: Seam = {
  seam: 'pg/submittable',
  of: 'pg',
  via: '@mikro-orm/postgresql',
  loss: 'A stream in a transaction may fail',
};
const CONNECTION_HOOKS: Seam = {
  seam: 'mikro-orm/connection-hooks',
  of: '@mikro-orm/postgresql',
  loss: 'A connection is reset each time that it had the settings of a session context',
};
const ON_POOL_CREATED: Seam = { seam: 'mikro-orm/pool', of: '@mikro-orm/postgresql', loss: LOSS };
const BEGIN: Seam = { seam: 'kysely/begin', of: 'kysely', loss: LOSS };

/** Warns when a pool of node-postgres lacks a known member. */
export function checkPool(pool: unknown): void {
  checkSeam(pool, ['options', 'connect', 'end', 'on', 'totalCount', 'idleCount', 'waitingCount', '_clients'], POOL);
  checkSeam(pool, ['Client'], POOL_CLIENT);
}

/** Warns when a connection of node-postgres lacks a known member. */
export function checkClient(client: object): void {
  const { connection } = client as { readonly connection?: unknown };
  const members = [
    'query',
    'release',
    'on',
    'once',
    'off',
    'end',
    'getTransactionStatus',
    'connection',
    'processID',
    'readyForQuery',
  ];
  if (checkSeam(client, members, CLIENT)) {
    checkSeam(connection, ['stream'], CLIENT);
    checkSeam(connection, ['parsedStatements'], PARSED_STATEMENTS);
    checkSeam(connection, ['parse', 'bind', 'describe', 'execute', 'close', 'sync'], SUBMITTABLE);
    checkSeam(client, ['getTypeParser'], SUBMITTABLE);
  }
}

/** Warns when the settings of MikroORM's session context cannot be told from settings of a session's statements. */
export function checkSessionContext(connection: object): void {
  checkSeam(connection, ['composeSessionContextOnReserve'], CONNECTION_HOOKS);
}

/** Warns of a transaction whose connection is not known. */
export function warnOfUnfollowed(isPoolKnown: boolean): void {
  if (isPoolKnown) {
    warnOfSeam(['begin'], BEGIN);
  } else {
    warnOfSeam(['onPoolCreated'], ON_POOL_CREATED);
  }
}
