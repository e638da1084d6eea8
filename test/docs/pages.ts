import { glob, readFile } from 'node:fs/promises';

const root = new URL('../../', import.meta.url);

/** The pages of the documentation, by their path from the root of the project. */
export async function readPages(): Promise<ReadonlyMap<string, string>> {
  const patterns = ['README.md', 'libs/session/README.md', 'docs/**/*.md'];
  const paths = (
    await Array.fromAsync(glob(patterns, { cwd: root, exclude: ['docs/.vitepress', 'docs/api'] }))
  ).toSorted();
  return new Map(
    await Promise.all(paths.map(async (path) => [path, await readFile(new URL(path, root), 'utf8')] as const)),
  );
}

export interface Example {
  /** What the line above says that the file is called: `src/app.module.ts`. */
  readonly file: string | undefined;
  readonly code: string;
}

export function readExamples(page: string): Example[] {
  return [...page.matchAll(/(?:^`src\/([\w.-]+)`\n\n)?^```ts\n([^]*?)^```/gm)].map(([, file, code = '']) => ({
    file,
    code,
  }));
}
