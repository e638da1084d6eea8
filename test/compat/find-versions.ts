import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const SHOWN = ['@nestjs/core', '@mikro-orm/core', '@mikro-orm/postgresql', 'typescript', 'node', 'bun'];

/** Finds what is installed of the packages that the tables show. */
export function findVersions(folder: string): Record<string, string> {
  const found = SHOWN.map((name) => [name, versionOf(join(folder, 'node_modules', name, 'package.json'))] as const);
  return Object.fromEntries(found.filter((pair): pair is [string, string] => pair[1] !== undefined));
}

export function versionOf(manifest: string): string | undefined {
  try {
    return (JSON.parse(readFileSync(manifest, 'utf8')) as { readonly version: string }).version;
  } catch {
    // Not every application has each of them.
    return undefined;
  }
}
