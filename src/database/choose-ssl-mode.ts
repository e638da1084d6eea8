import { Client } from 'pg';

import { readDatabaseUrl } from './read-database-url.js';

const TIMEOUT_MS = 3_000;

/** The modes to try, one after the other, for each mode that leaves the choice to the server. */
const CHOICES = { prefer: ['no-verify', 'disable'], allow: ['disable', 'no-verify'] } as const;

/**
 * Asks the server whether connections are encrypted, where the URL leaves that to the server. Returns a URL with the
 * answer.
 */
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
    // If the other mode fails too, the connection of the program itself reports the error.
    return false;
  } finally {
    await client.end();
  }
}
