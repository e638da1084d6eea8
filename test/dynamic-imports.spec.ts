import { glob, readFile } from 'node:fs/promises';

const root = new URL('../', import.meta.url);

describe('an import() of a file of this project', () => {
  // The linter finds no circle through one, and sees none in a type.
  it('stands only where the application may not have a package', async () => {
    const found: string[] = [];
    for await (const file of glob(['libs/session/src/**/*.{ts,tsx}', 'src/**/*.ts'], { cwd: root })) {
      const code = await readFile(new URL(file, root), 'utf8');
      for (const [, path] of code.matchAll(/\bimport\(\s*['"](\.[^'"]+)/g)) {
        found.push(`${path} in ${file}`);
      }
    }

    expect(found).toEqual(['./drain/drain-queues.js in libs/session/src/testing/session-testing.ts']);
  });
});
