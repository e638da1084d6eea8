import 'reflect-metadata';

import { Random } from './random.js';
import { ProgressLine } from './report/progress-line.js';
import { isClean, toTable } from './report/table.js';
import { Server } from './server.js';
import { readSettings } from './settings.js';
import { findLeaks } from './leaks/leaks.js';
import { StormDatabase } from './storm-database.js';
import { storm } from './storm.js';
import { Tally } from './tally.js';
import { watchProcess } from './watch-process.js';

/** The part of the time that is for the search for leaks. The storm has the rest. */
const LEAKS_SHARE = 0.4;
/** How much longer than it was told a run may take before it is ended: something hangs then. */
const GRACE_MS = 90_000;

/** What a progress line on a terminal has written goes. */
const CLEAR = process.stdout.isTTY ? '\r\x1B[2K' : '';

const settings = readSettings(process.argv.slice(2));
const { minutes, seed, round } = settings;
const start = Date.now();
const end = start + minutes * 60_000;
const tally = new Tally((finding) => process.stdout.write(`${CLEAR}${finding}\n`));
let phase = 'starting';

process.stdout.write(`chaos: --seed ${seed} --minutes ${minutes}\n`);
const watchdog = setTimeout(
  () => {
    tally.find('hangs', `The run did not end: it was ${phase}`);
    finish();
    process.exit();
  },
  end + GRACE_MS - start,
);
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => process.exit(1));
}
{
  using _line = new ProgressLine(toLine);
  using _watch = watchProcess(tally);
  await run().catch((error: unknown) =>
    tally.find('errors', error instanceof Error ? `${error.stack}` : String(error)),
  );
}
clearTimeout(watchdog);
finish();

async function run(): Promise<void> {
  const random = new Random(seed);
  const server = await Server.start();
  try {
    const database = await StormDatabase.create(server.url);
    await findLeaks({
      database,
      random: random.fork('leaks'),
      tally,
      deadline: start + (end - start) * LEAKS_SHARE,
      onMeasurement: (name) => (phase = `leaks of ${name}`),
    });
    await storm({
      server,
      database,
      random,
      tally,
      deadline: end,
      round,
      onRound: (number) => (phase = `round ${number}`),
    });
    await database.close();
  } finally {
    phase = 'ending';
    await server.remove();
  }
}

function toLine(): string {
  const { counts, found } = tally;
  const seconds = Math.round((Date.now() - start) / 1_000);
  const network = counts.delay + counts.cut + counts.halfClose + counts.truncate + counts.blackHole;
  return (
    `${seconds} s of ${minutes * 60}, ${phase}: ${counts.requests} requests, ${counts.jobs} jobs, ${counts.durable} durable, ` +
    `${network} network faults, ${counts.backends} backends, ${counts.restarts} restarts, found ${found}`
  );
}

/** Prints what was found and the table, and decides how the process ends. */
function finish(): void {
  process.stdout.write(`\n${toTable(tally)}\n\nAgain: npm run chaos -- --seed ${seed}\n`);
  process.exitCode = isClean(tally) ? 0 : 1;
}
