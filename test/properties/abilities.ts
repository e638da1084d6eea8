import type { TestDatabase } from '../support/test-database.js';
import type { TestDriver } from '../support/test-driver.js';

/** What cannot be tried on every database. */
export type Special =
  | 'late'
  | 'lose connection'
  | 'cut statement'
  | 'cancel statement'
  | 'lose the answer to commit'
  | 'black hole';

/** What programs and their model have to know of a database. */
export interface Abilities {
  readonly poolSize: number;
  /** Whether a transaction has its connection when it has begun, and not only after its first statement. */
  readonly connectsAtBegin: boolean;
  /** Whether nothing but a rollback works in a transaction after one of its statements has failed. */
  readonly abortsOnError: boolean;
  /** The text of a statement that the server ends while it runs, with its connection or without. */
  readonly endedBy: Readonly<Record<'cut statement' | 'cancel statement', string>>;
  /** What is not tried, and why. */
  readonly leftOut: Readonly<Partial<Record<Special, string>>>;
  /** Ends all connections but that of the test. */
  disconnect(database: TestDatabase): Promise<unknown>;
}

const NETWORK = 'The network of the tests knows the protocol of PostgreSQL.';
const LATE = 'There are no constraints that wait for COMMIT.';
const ONE_PROCESS = 'SQLite runs its statements in the process of the application, which nobody else can end.';

export const abilitiesOf: Readonly<Record<TestDriver, Abilities>> = {
  postgresql: {
    poolSize: 3,
    connectsAtBegin: false,
    abortsOnError: true,
    endedBy: {
      'cut statement': 'select pg_terminate_backend(pg_backend_pid()), pg_sleep(10)',
      'cancel statement': 'select pg_cancel_backend(pg_backend_pid()), pg_sleep(10)',
    },
    leftOut: {},
    disconnect: (database) =>
      database.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      ),
  },
  mariadb: {
    poolSize: 3,
    connectsAtBegin: true,
    abortsOnError: false,
    endedBy: { 'cut statement': 'kill connection_id()', 'cancel statement': 'kill query connection_id()' },
    leftOut: { late: LATE, 'lose the answer to commit': NETWORK, 'black hole': NETWORK },
    async disconnect(database) {
      const others = await database.query<{ id: number }>(
        'select id from information_schema.processlist where db = database() and id <> connection_id()',
      );
      await Promise.allSettled(others.map(({ id }) => database.query(`kill ${id}`)));
    },
  },
  sqlite: {
    poolSize: 1,
    connectsAtBegin: true,
    abortsOnError: false,
    endedBy: { 'cut statement': '', 'cancel statement': '' },
    leftOut: {
      late: LATE,
      'lose connection': ONE_PROCESS,
      'cut statement': ONE_PROCESS,
      'cancel statement': ONE_PROCESS,
      'lose the answer to commit': ONE_PROCESS,
      'black hole': ONE_PROCESS,
    },
    disconnect: async () => undefined,
  },
};
