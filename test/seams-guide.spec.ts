import { glob, readFile } from 'node:fs/promises';

const source = new URL('../libs/session/src/', import.meta.url);

describe('docs/seams.md', () => {
  it('lists each place that is marked in the code, and no other', async () => {
    const guide = await readFile(new URL('../docs/seams.md', import.meta.url), 'utf8');
    const listed = [...guide.matchAll(/^\| `([\w/-]+)` *\| ([^|]+) \|/gm)].flatMap(([, seam, places]) =>
      [...(places ?? '').matchAll(/`([^`]+)`/g)].map(([, place]) => `${seam} in ${place}`),
    );
    const marked = new Set<string>();
    for await (const file of glob('**/*.ts', { cwd: source })) {
      const code = await readFile(new URL(file, source), 'utf8');
      for (const [, seam] of code.matchAll(/^\s*\/\/ Seam: (\S+)$/gm)) {
        marked.add(`${seam} in ${file}`);
      }
    }

    expect(marked.size).toBeGreaterThan(50);
    expect(listed.toSorted()).toEqual([...marked].toSorted());
  });

  it('lists each seam that the code checks', async () => {
    const guide = await readFile(new URL('../docs/seams.md', import.meta.url), 'utf8');
    const checked = new Set<string>();
    for await (const file of glob('**/*.ts', { cwd: source })) {
      const code = await readFile(new URL(file, source), 'utf8');
      for (const [, seam] of code.matchAll(/(?:seam: |seamOf\()'([^']+)'/g)) {
        checked.add(seam ?? '');
      }
    }

    expect(checked.size).toBeGreaterThan(20);
    expect([...checked].filter((seam) => !guide.includes(`| \`${seam}\` `))).toEqual([]);
  });
});
