import { readFile } from 'node:fs/promises';

import * as door from 'nestjs-mikro-session';
import * as queueDoor from 'nestjs-mikro-session/pg-boss';

describe('docs/misuse.md', () => {
  it('tells of every exported error, with its code', async () => {
    const guide = await readFile(new URL('../docs/misuse.md', import.meta.url), 'utf8');
    const errors = Object.entries({ ...door, ...queueDoor }).filter(
      ([, value]) => value === door.SessionError || isSessionError(value),
    );

    expect(errors.length).toBeGreaterThan(10);
    expect(errors.map(([name]) => name).filter((name) => !guide.includes(`\`${name}\``))).toEqual([]);
    expect(errors.flatMap(([, value]) => codeOf(value)).filter((code) => !guide.includes(`\`${code}\``))).toEqual([]);
  });
});

function isSessionError(value: unknown): boolean {
  return typeof value === 'function' && value.prototype instanceof door.SessionError;
}

/** The code is a field of the instance: it is read off the class. */
function codeOf(value: unknown): string[] {
  const [, code] = /code = ['"](\w+)['"]/.exec(String(value)) ?? [];
  return code === undefined ? [] : [code];
}
