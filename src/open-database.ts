import { chooseSslMode } from './database/choose-ssl-mode.js';
import { PostgresInUseError, startEmbeddedPostgres } from './postgres/embedded-postgres.js';
import { joinPostgres } from './postgres/join-postgres.js';
import type { Settings } from './settings.js';

/** Milliseconds to try again while other processes start and stop the server. */
const PATIENCE_MS = 10_000;

/**
 * Returns the URL of the database in the settings, or starts the embedded one. The embedded one ends with `resources`.
 */
export async function openDatabase(
  { databaseUrl, postgresFolder }: Settings,
  resources: AsyncDisposableStack,
): Promise<string> {
  if (databaseUrl !== undefined) {
    return chooseSslMode(databaseUrl);
  }
  const postgres = await startEmbeddedPostgres({ folder: postgresFolder });
  resources.adopt(postgres, () => postgres.stop());
  return postgres.url;
}

/**
 * Joins a running embedded database, such as that of a demo, or opens one as openDatabase() does. Other processes can
 * join it: it runs until all have left.
 */
export async function openOrJoinDatabase(settings: Settings, resources: AsyncDisposableStack): Promise<string> {
  if (settings.databaseUrl !== undefined) {
    return openDatabase(settings, resources);
  }
  const folder = settings.postgresFolder;
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const joined = await joinPostgres(folder);
    if (joined !== undefined) {
      resources.defer(() => joined.leave());
      return joined.url;
    }
    try {
      const postgres = await startEmbeddedPostgres({ folder, isShared: true });
      resources.defer(() => postgres.stop());
      return postgres.url;
    } catch (error) {
      // Another process was faster: join its server.
      if (!(error instanceof PostgresInUseError) || Date.now() > deadline) {
        throw error;
      }
    }
  }
}
