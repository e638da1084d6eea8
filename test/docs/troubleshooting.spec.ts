import { readFile } from 'node:fs/promises';

import * as door from 'nestjs-mikro-session';
import * as queueDoor from 'nestjs-mikro-session/pg-boss';

import { remedies } from '../../libs/session/src/inspector/state/remedy-for.js';

describe('docs/troubleshooting.md', () => {
  it('has a section for every exported error, under its code', async () => {
    const guide = await readFile(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8');
    const errors = Object.entries({ ...door, ...queueDoor }).filter(([, value]) => isSessionError(value));

    const codes = errors.map(([, value]) => codeOf(value));

    expect(errors.length).toBeGreaterThan(10);
    expect(errors.map(([name]) => name).filter((name) => !guide.includes(`\`${name}\``))).toEqual([]);
    expect(codes.filter((code) => !guide.includes(`\n## ${code}\n`))).toEqual([]);
  });

  it('has a section for every misuse that the inspector has a remedy for', async () => {
    const guide = await readFile(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8');

    const missing = Object.keys(remedies).filter((code) => !guide.includes(`\n## ${code}\n`));

    expect(Object.keys(remedies)).toEqual(expect.arrayContaining(['LEAK', 'HELD_IDLE', 'SESSION_POOL_DEADLOCK']));
    expect(missing).toEqual([]);
  });

  it('is what each error says to open', () => {
    const { code, help } = new door.NoActiveSessionError('orm.em');

    expect(help).toBe(`docs/troubleshooting.md#${code.toLowerCase()}`);
  });
});

function isSessionError(value: unknown): boolean {
  return typeof value === 'function' && value.prototype instanceof door.SessionError;
}

/** It is in the text of the class, as the first thing that SessionError is told. */
function codeOf(value: unknown): string {
  const [, code] = /super\(\s*['"](\w+)['"]/.exec(String(value)) ?? [];
  return code ?? 'no code';
}
