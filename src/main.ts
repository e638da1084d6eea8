import { once } from 'node:events';
import type { Server } from 'node:http';

import { createApp } from './create-app.js';
import { openDatabase } from './open-database.js';
import { runProgram } from './run-program.js';
import { readSettings, type Settings } from './settings.js';
import { untilSignal } from './until-signal.js';

async function serve(settings: Settings): Promise<void> {
  const ending = untilSignal();
  // Ended in reverse order: the database outlives the application.
  await using resources = new AsyncDisposableStack();
  const databaseUrl = await openDatabase(settings, resources);
  const app = await createApp({ databaseUrl, work: settings.work });
  resources.adopt(app, () => app.close());
  await app.init();
  const url = await listen(app.getHttpServer(), settings);
  process.stdout.write(`Listening on ${url}\n`);
  await ending;
  process.stdout.write('Ending: running jobs finish, the others do not start here.\n');
}

async function listen(server: Server, { host, port }: Settings): Promise<string> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
      throw new Error(`Port ${port} of ${host} is in use. Set PORT to another one, or to 0 for a free one.`, {
        cause: error,
      });
    }
    throw error;
  }
  const address = server.address();
  const actual = typeof address === 'object' && address !== null ? address.port : port;
  return `http://${host.includes(':') ? `[${host}]` : host}:${actual}`;
}

await runProgram(async () => {
  await serve(readSettings(process.env));
  return 0;
});
