import { setImmediate as nextTurn } from 'node:timers/promises';
import { inspect } from 'node:util';

import * as fc from 'fast-check';

import { holdPool } from '../support/hold-together.js';
import { NetworkProxy } from '../support/network-proxy.js';
import { poll } from '../support/poll.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { getTestDriver, type TestDriver } from '../support/test-driver.js';
import { abilitiesOf } from './abilities.js';
import { Interpreter, isClosed } from './interpreter.js';
import { judge } from './model.js';
import { NetworkFaults } from './network-faults.js';
import { type Injection, type ProgramApp, startProgramApp } from './program-app.js';
import { anyProgram, type Program } from './program.js';
import { TAKEN } from './session-steps.js';

/** FC_SEED and FC_PATH replay a failure, FC_RUNS runs more programs than a test run has the time for. */
const { FC_SEED, FC_PATH, FC_RUNS } = process.env;
const PATIENCE_MS = 10_000;

interface ProgramOptions {
  readonly injection: Injection;
  /** @default that of `TEST_DRIVER` */
  readonly driver?: TestDriver;
  /** How many programs, unless `FC_RUNS` says so. @default 100 */
  readonly runs?: number;
}

/** Runs random programs in an application, whose injection they are the same for. */
export function testPrograms({ injection, driver = getTestDriver(), runs: few = 100 }: ProgramOptions): void {
  const RUNS = Number(FC_RUNS ?? few);
  const SHRINKING_MS = 120_000 + RUNS * 500;
  const abilities = abilitiesOf[driver];
  const { poolSize, leftOut } = abilities;
  let database: TestDatabase;
  let network: NetworkProxy | undefined;
  let faults: NetworkFaults | undefined;
  let app: ProgramApp;
  let runs = 0;
  let lastLook: Promise<unknown> = Promise.resolve();

  const start = async (): Promise<void> => {
    app = await startProgramApp({ database, faults, injection });
    await database.query('delete from mark where tag = $1', [TAKEN]);
    await database.query('insert into mark (tag, late) values ($1, $2)', [TAKEN, TAKEN]);
  };

  beforeAll(async () => {
    for (const [what, reason] of Object.entries(leftOut)) {
      process.stderr.write(`Left out on ${driver}: the step "${what}". ${reason}\n`);
    }
    database = await createTestDatabase(driver);
    if (driver === 'postgresql') {
      network = await NetworkProxy.start(database.url);
      faults = new NetworkFaults(network);
    }
    await start();
  });

  afterAll(async () => {
    await app.close();
    await network?.close();
    await database.drop();
  });

  /** What a hang leaves behind is no part of the next program. */
  const startAnew = async (): Promise<void> => {
    await abilities.disconnect(database);
    await within(app.close()).catch(() => undefined);
    await start();
  };

  /** One statement at a time, which is all that a client of PostgreSQL takes. */
  const inTurn = (work: () => Promise<unknown>): Promise<unknown> => {
    const look = lastLook.then(work);
    lastLook = look.catch(() => undefined);
    return look;
  };

  /** Requests end when their response is closed, which the client is the first to know. */
  const untilIdle = async (): Promise<void> => {
    const { pool, registry } = app;
    const isIdle = (): boolean =>
      registry.list().length === 0 &&
      (pool === undefined || (pool.idleCount === pool.totalCount && pool.waitingCount === 0));
    const deadline = Date.now() + PATIENCE_MS;
    while (!isIdle()) {
      if (Date.now() > deadline) {
        const { totalCount, idleCount, waitingCount } = pool ?? {};
        throw new Error(`Never idle: ${inspect({ live: registry.list(), totalCount, idleCount, waitingCount })}`);
      }
      await nextTurn();
    }
  };

  const findRows = async (): Promise<string[]> =>
    (await database.query<{ tag: string }>('select tag from mark where tag <> $1', [TAKEN])).map(({ tag }) => tag);

  const check = async (steps: Program): Promise<void> => {
    runs += 1;
    const interpreter = new Interpreter(app, {
      name: `${runs}`,
      abilities,
      observe: (sql) => inTurn(() => database.query(sql)),
      terminate: async (em) => {
        // The session may wait for a connection, and others must see their beats meanwhile.
        const connection = await database.connectionOf(em);
        await inTurn(() => database.terminate(connection));
      },
    });
    const { journal, sessions } = interpreter;
    try {
      await within(interpreter.run(steps));
      await untilIdle();
      faults?.heal();
      await poll('no transaction is open', async () => (await database.countOpenTransactions()) === 0);
      const served = await within(holdPool(app.factory, poolSize));
      const { complaints, committed, unknown } = judge(journal.entries, abilities);
      const rows = await findRows();
      expect({
        complaints: [...journal.complaints, ...complaints],
        missing: [...committed].filter((tag) => !rows.includes(tag)),
        tooMany: rows.filter((tag) => !committed.has(tag) && !unknown.has(tag)),
        served,
        open: [...sessions].filter(([session]) => !isClosed(session)).map(([, part]) => part),
      }).toEqual({ complaints: [], missing: [], tooMany: [], served: poolSize, open: [] });
    } catch (error) {
      await startAnew();
      throw new Error(`${String(error)}\n${String(journal)}`, { cause: error });
    } finally {
      await database.query('delete from mark where tag <> $1', [TAKEN]);
    }
  };

  it(
    'commits what it reports, gives each scope a session of its own and leaves nothing behind',
    () =>
      fc.assert(fc.asyncProperty(anyProgram(leftOut), check), {
        numRuns: RUNS,
        interruptAfterTimeLimit: SHRINKING_MS,
        markInterruptAsFailure: true,
        ...(FC_SEED === undefined ? {} : { seed: Number(FC_SEED) }),
        ...(FC_PATH === undefined ? {} : { path: FC_PATH }),
      }),
    SHRINKING_MS + 3 * PATIENCE_MS,
  );
}

async function within<Result>(work: Promise<Result>): Promise<Result> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`Did not settle within ${PATIENCE_MS} ms`)), PATIENCE_MS);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
