import { Client } from 'pg';

import { readDatabaseUrl } from './read-database-url.js';

const TIMEOUT_MS = 3_000;

/** What each of the modes that leave the choice to the server tries, one after the other. */
const CHOICES = { prefer: ['no-verify', 'disable'], allow: ['disable', 'no-verify'] } as const;

/** Asks the server, where the URL leaves it to the server whether connections are encrypted. Gives a URL that says so. */
export async function chooseSslMode(databaseUrl: string): Promise<string> {
  const [, mode] = /[?&]sslmode=(prefer|allow)(?=&|$)/.exec(databaseUrl) ?? [];
  if (mode !== 'prefer' && mode !== 'allow') {
    return databaseUrl;
  }
  const [first, second] = CHOICES[mode].map((choice) =>
    databaseUrl.replace(/([?&])sslmode=\w+/, `$1sslmode=${choice}`),
  );
  if (first === undefined || second === undefined || (await canConnect(first))) {
    return first ?? databaseUrl;
  }
  return second;
}

async function canConnect(databaseUrl: string): Promise<boolean> {
  const { host, port, user, password, dbName, driverOptions } = readDatabaseUrl(databaseUrl);
  const client = new Client({
    connectionTimeoutMillis: TIMEOUT_MS,
    ...driverOptions,
    host,
    port,
    user,
    password,
    database: dbName,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch {
    // The program itself tells what is wrong, when it connects in the other way and that fails too.
    return false;
  } finally {
    await client.end();
  }
}
