import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { emptyTable, POOL_SIZE } from './applications.ts';
import type { Claim, Side } from './claim.ts';
import { insertInJobs } from './in-jobs.ts';

const ONE_BY_ONE = 3_000;
const IN_CHUNKS = 6_000;
const CHUNK = 100;

const { PYTHON } = process.env;
const INTERPRETERS = PYTHON === undefined ? ['python3', '/usr/bin/python3'] : [PYTHON];

function findInterpreter(): string | undefined {
  return INTERPRETERS.find(
    (candidate) => spawnSync(candidate, ['-c', 'import psycopg2, sqlalchemy'], { stdio: 'ignore' }).status === 0,
  );
}

function findMissing(): string | undefined {
  return findInterpreter() === undefined
    ? `No Python with the packages sqlalchemy and psycopg2 was found, tried ${INTERPRETERS.join(' and ')}. Name one with PYTHON.`
    : undefined;
}

/** A thread pool with a session for each job, in a process of Python. It takes the time of its rounds itself. */
async function insertInThreads(inputs: number, databaseUrl: string): Promise<Side> {
  await emptyTable(databaseUrl);
  const script = fileURLToPath(new URL('./sqlalchemy-side.py', import.meta.url));
  const child = spawn(findInterpreter() ?? '', [script, databaseUrl, String(inputs), String(POOL_SIZE)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const answer = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done === true) {
      const [code] = (await ended) as [number | null];
      throw new Error(`The process of SQLAlchemy ended with code ${code}.`);
    }
    return value;
  };
  await answer();
  return {
    async round() {
      child.stdin.write('round\n');
      return Number(await answer());
    },
    async close() {
      child.stdin.end();
      await ended;
    },
  };
}

/** Jobs against the thread pool that this library takes its rules from. */
export const sqlalchemyClaim: Claim = {
  title: `${ONE_BY_ONE} jobs that insert a row and commit, ${POOL_SIZE} at once`,
  peer: `SQLAlchemy, a pool of ${POOL_SIZE} threads with a session for each job`,
  atMost: 1 / 1.7,
  findMissing,
  ours: (databaseUrl) => insertInJobs(ONE_BY_ONE, databaseUrl),
  theirs: (databaseUrl) => insertInThreads(ONE_BY_ONE, databaseUrl),
};

/** Chunks against the same thread pool, which commits each of its jobs. */
export const sqlalchemyChunkClaim: Claim = {
  ...sqlalchemyClaim,
  title: `${IN_CHUNKS} inputs in chunks of ${CHUNK}, ${POOL_SIZE} at once`,
  atMost: 1 / 20,
  rounds: 9,
  ours: (databaseUrl) => insertInJobs(IN_CHUNKS, databaseUrl, { jobOptions: { chunkSize: CHUNK } }),
  theirs: (databaseUrl) => insertInThreads(IN_CHUNKS, databaseUrl),
};
