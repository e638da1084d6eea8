import { glob, readFile } from 'node:fs/promises';
import { basename } from 'node:path';

const root = new URL('../', import.meta.url);

/** Doors, and programs: nobody imports them by what they export. */
const ENTRIES = new Set(['index', 'main', 'page', 'thread-entry', 'thread-application', 'postgres-keeper']);

/** Files of several exports of equal rank, called by what they have in common. */
const TOPICS = new Set([
  'format',
  'lost-connection',
  'mysql-errors',
  'number-rules',
  'pool-defaults',
  'pool-seams',
  'queues',
  'sql-statements',
  'store',
  'task-rule',
  'timeline-range',
  'transaction-control',
  'unexpected-end',
]);

const EXPORT = /^export (?:abstract |async |declare )*(?:class|function\*?|const|interface|type) (\w+)/gm;

describe('a file', () => {
  it('is called by what it exports', async () => {
    const found: string[] = [];
    const topics = new Set<string>();
    for await (const file of glob(['libs/session/src/**/*.{ts,tsx}', 'src/**/*.ts'], { cwd: root })) {
      const name = basename(file).replace(/\.tsx?$/, '');
      if (ENTRIES.has(name) || file.endsWith('.d.ts')) {
        continue;
      }
      const code = await readFile(new URL(file, root), 'utf8');
      const exported = new Set([...code.matchAll(EXPORT)].map(([, exportName = '']) => toKebabCase(exportName)));
      if (namesOf(name).some((wanted) => exported.has(wanted))) {
        continue;
      }
      if (TOPICS.has(name)) {
        topics.add(name);
      } else {
        found.push(file);
      }
    }

    expect(found).toEqual([]);
    expect([...topics].toSorted()).toEqual([...TOPICS]);
  });
});

/** `runs.controller` holds `RunsController`, `run.entity` holds `Run`, and `session.providers` `createSessionProviders`. */
function namesOf(file: string): string[] {
  const name = file.replaceAll('.', '-');
  return [name, `create-${name}`, ...(file.includes('.') ? [file.split('.')[0] ?? ''] : [])];
}

function toKebabCase(name: string): string {
  return name === name.toUpperCase()
    ? name.toLowerCase().replaceAll('_', '-')
    : name.replaceAll(/(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, '-').toLowerCase();
}
