import { chooseSslMode } from './database/choose-ssl-mode.js';
import { startEmbeddedPostgres } from './postgres/embedded-postgres.js';
import { findRunningPostgres, hasRunningPostgres } from './postgres/running-postgres.js';
import type { Settings } from './settings.js';

/** Gives the database of the settings, or starts the embedded one, which ends with `resources`. */
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

/** Takes the embedded database that runs already, as that of a demo, or does as openDatabase. */
export async function openOrJoinDatabase(settings: Settings, resources: AsyncDisposableStack): Promise<string> {
  const running = settings.databaseUrl === undefined && hasRunningPostgres(settings.postgresFolder);
  return running ? findRunningPostgres(settings.postgresFolder).url : openDatabase(settings, resources);
}
