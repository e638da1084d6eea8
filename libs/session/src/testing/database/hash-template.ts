import { createHash, type Hash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import type { MikroORM } from '@mikro-orm/core';

interface SchemaSql {
  getCreateSchemaSQL(): Promise<string>;
}

/**
 * Hashes everything that decides on the content of a template: the entities, the migrations, the code of `migrate` and
 * the `version`.
 */
export async function hashTemplate(
  orm: MikroORM,
  { migrate, version = '' }: { readonly migrate: object; readonly version?: string | undefined },
): Promise<string> {
  const hash = createHash('sha256');
  add(hash, version, Function.prototype.toString.call(migrate));
  add(hash, await (orm.schema as unknown as SchemaSql).getCreateSchemaSQL());
  const { path, pathTs, migrationsList = [] } = orm.config.get('migrations');
  for (const migration of migrationsList) {
    const { name, class: Migration = migration } = migration as { readonly name: string; readonly class?: unknown };
    add(hash, name, String(Migration));
  }
  const folders = new Set([path, pathTs].filter((folder) => folder !== undefined));
  for (const folder of folders) {
    await addFolder(hash, resolve(orm.config.get('baseDir'), folder));
  }
  return hash.digest('hex');
}

/** Adds nothing for a folder that does not exist. */
async function addFolder(hash: Hash, folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return [];
    }
    throw error;
  });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  for (const file of files.toSorted()) {
    add(hash, file.slice(folder.length), await readFile(file, 'utf8'));
  }
}

function add(hash: Hash, ...texts: readonly string[]): void {
  texts.forEach((text) => hash.update(text).update('\0'));
}
