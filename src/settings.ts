import { fileURLToPath } from 'node:url';

import { readDatabaseUrl } from './database/read-database-url.js';

export interface Settings {
  readonly host: string;
  readonly port: number;
  /** The URL of a database to use instead of the embedded one. */
  readonly databaseUrl: string | undefined;
  /** The folder of the embedded database. */
  readonly postgresFolder: string;
  /** Whether the web server runs jobs of the queue too. */
  readonly work: boolean;
}

/** Reads `HOST`, `PORT`, `DATABASE_URL`, `POSTGRES_FOLDER` and `WORK`. An empty variable counts as not set. */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const { HOST, PORT, DATABASE_URL, POSTGRES_FOLDER, WORK } = env;
  if (DATABASE_URL) {
    readDatabaseUrl(DATABASE_URL);
  }
  return {
    host: HOST || '127.0.0.1',
    port: toPort(PORT || '3000'),
    databaseUrl: DATABASE_URL || undefined,
    postgresFolder: POSTGRES_FOLDER || fileURLToPath(new URL('../.postgres', import.meta.url)),
    work: toSwitch(WORK || 'on'),
  };
}

function toPort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) {
    throw new TypeError(`Expected the environment variable PORT to be an integer from 0 to 65535, got "${text}".`);
  }
  return port;
}

function toSwitch(text: string): boolean {
  if (text !== 'on' && text !== 'off') {
    throw new TypeError(`Expected the environment variable WORK to be on or off, got "${text}".`);
  }
  return text === 'on';
}
