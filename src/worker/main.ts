// npm run worker: one more process that runs jobs of the queue, on the database of DATABASE_URL or of a running npm
// start.
import { NestFactory } from '@nestjs/core';

import { chooseSslMode } from '../database/choose-ssl-mode.js';
import { QUEUE_CONNECTIONS } from '../runs/pool-size.js';
import { DemoLogger } from '../demo-logger.js';
import { findRunningPostgres } from '../postgres/running-postgres.js';
import { runProgram } from '../run-program.js';
import { readSettings, type Settings } from '../settings.js';
import { untilSignal } from '../until-signal.js';
import { WorkerModule } from './worker.module.js';

async function work({ databaseUrl, postgresFolder }: Settings): Promise<void> {
  const ending = untilSignal();
  const postgres = databaseUrl === undefined ? findRunningPostgres(postgresFolder) : undefined;
  const url = await chooseSslMode(databaseUrl ?? postgres?.url ?? '');
  const app = await NestFactory.createApplicationContext(WorkerModule.forRoot(url), {
    logger: new DemoLogger(),
    abortOnError: false,
  });
  process.stdout.write(`Working the queue: up to ${QUEUE_CONNECTIONS} jobs at once.\n`);
  const watch = new AbortController();
  const gone = postgres?.untilGone(watch.signal).then(() => {
    if (!watch.signal.aborted) {
      throw new Error('The embedded PostgreSQL has ended. Run `npm start`, and start the worker again.');
    }
  });
  await Promise.race([ending, ...(gone === undefined ? [] : [gone])]);
  watch.abort();
  process.stdout.write('Ending: running jobs finish, the others are left to other processes.\n');
  await app.close();
}

await runProgram(async () => {
  await work(readSettings(process.env));
  return 0;
});
