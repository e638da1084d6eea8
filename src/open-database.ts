import { startEmbeddedPostgres } from './postgres/embedded-postgres.js';
import type { Settings } from './settings.js';

/** Gives the database of the settings, or starts the embedded one, which ends with `resources`. */
export async function openDatabase(
  { databaseUrl, postgresFolder }: Settings,
  resources: AsyncDisposableStack,
): Promise<string> {
  if (databaseUrl !== undefined) {
    return databaseUrl;
  }
  const postgres = await startEmbeddedPostgres({ folder: postgresFolder });
  resources.adopt(postgres, () => postgres.stop());
  return postgres.url;
}
