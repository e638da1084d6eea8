import { readFileSync } from 'node:fs';

const source = new URL('../../libs/session/src/', import.meta.url);

/** The files that are loaded with a door: what is only a type is not there when it runs. */
function findLoaded(door: string): string[] {
  const loaded = new Set<string>();
  const load = (file: URL): void => {
    if (!loaded.has(file.href)) {
      loaded.add(file.href);
      const text = readFileSync(file, 'utf8');
      for (const [, path = ''] of text.matchAll(/^(?:import|export|\} from)(?! type\b)[^;]*?'(\.[^']+)\.js';$/gm)) {
        load(new URL(`${path}.ts`, file));
      }
    }
  };
  load(new URL(door, source));
  return [...loaded].map((href) => href.slice(source.href.length));
}

describe('the door of SessionTesting', () => {
  it.each(['index.ts', 'pg-boss/index.ts', 'inspector/index.ts'])('is not opened by %s', (door) => {
    const loaded = findLoaded(door);

    expect(loaded.length).toBeGreaterThan(20);
    expect(loaded.filter((file) => file.startsWith('testing/'))).toEqual([]);
  });

  it('does not open that of pg-boss, which the application may not have', () => {
    const loaded = findLoaded('testing/index.ts');

    expect(loaded).toContain('testing/test-client.ts');
    expect(loaded.filter((file) => file.startsWith('pg-boss/'))).toEqual([]);
  });
});
