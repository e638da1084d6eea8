// npm run cli -- FROM TO [CONCURRENCY]: factorises numbers as POST /jobs does, with a progress bar in place of HTTP.
import { NestFactory } from '@nestjs/core';

import { openOrJoinDatabase } from '../open-database.js';
import { runProgram } from '../run-program.js';
import { readSettings } from '../settings.js';
import { untilSignal } from '../until-signal.js';
import { CliModule } from './cli.module.js';
import { readRange } from './read-range.js';
import { RunWithBar } from './run-with-bar.js';

async function run(args: readonly string[]): Promise<boolean> {
  const range = readRange(args);
  const ending = untilSignal();
  // Ended in reverse order: the database outlives the application.
  await using resources = new AsyncDisposableStack();
  const databaseUrl = await openOrJoinDatabase(readSettings(process.env), resources);
  const app = await NestFactory.createApplicationContext(CliModule.forRoot(databaseUrl), {
    logger: ['warn', 'error'],
    abortOnError: false,
  });
  resources.adopt(app, () => app.close());
  const { state, done, failed } = await app.get(RunWithBar).run(range, ending);
  process.stdout.write(`\n${state}: ${done} numbers factorised, ${failed} failed\n`);
  return state === 'done' && failed === 0;
}

await runProgram(async () => ((await run(process.argv.slice(2))) ? 0 : 1));
