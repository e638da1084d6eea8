import { chooseSslMode } from './database/choose-ssl-mode.js';
import { PostgresInUseError, startEmbeddedPostgres } from './postgres/embedded-postgres.js';
import { joinPostgres } from './postgres/join-postgres.js';
import type { Settings } from './settings.js';

/** How long to try for a server that others start and end meanwhile. */
const PATIENCE_MS = 10_000;

/** Returns the database of the settings, or starts the embedded one, which ends with `resources`. */
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
 * Takes the embedded database that runs already, as that of a demo, or does as openDatabase. Others can do the same
 * meanwhile: what is started here goes on until they are done.
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
      // Somebody else was faster: join that one.
      if (!(error instanceof PostgresInUseError) || Date.now() > deadline) {
        throw error;
      }
    }
  }
}
