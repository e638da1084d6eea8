import { glob, readFile } from 'node:fs/promises';

import { itSince } from '../support/since.js';
import { findTypeErrors } from '../support/type-errors.js';
import { files } from './example-surroundings.js';
import { readExamples, readPages } from './pages.js';

const root = new URL('../../', import.meta.url);

/** The pages whose examples are the code of tests, so that they are run. The others are only compiled. */
const runPages = /^docs\/(places\/.*|tenants|durable-jobs|testing)\.md$/;

/** What the compiler alone looks at: imports, modules, and where a class begins. */
const declaration =
  /^(import |\} from |@Module|imports: |providers: |(MikroOrm|Session|JobQueue)Module\.|class |interface |declare module )/;

/** Leaves out what does not count: indentation, comments, and what a line ends with in its own surroundings. */
const toCode = (text: string): string[] =>
  text
    .replaceAll('<EntityManager>', '')
    .replace(/^import \{\n[^}]*\} from/gm, 'import {} from')
    .split('\n')
    .map((line) =>
      line
        .replace(/(^|\s)\/\/ .*$/, '')
        .trim()
        .replace(/^export /, '')
        .replace(/[,;]$/, ''),
    )
    .filter((line) => !declaration.test(line));

async function readTests(): Promise<string> {
  const paths = await Array.fromAsync(glob('test/**/*.ts', { cwd: root }));
  const texts = await Promise.all(paths.map((path) => readFile(new URL(path, root), 'utf8')));
  return texts.flatMap(toCode).join('\n');
}

describe('the examples of the documentation', () => {
  itSince('@mikro-orm/core', {
    version: '7.2.0',
    reason: 'The documentation is written for the types of 7.2.',
  })(
    'compile, each as it stands',
    async () => {
      const sources = Object.entries(files).map(([name, text]) => [`docs-example/${name}`, text]);
      for (const [path, page] of await readPages()) {
        const name = path.replaceAll(/\W/g, '-');
        readExamples(page).forEach(({ file, code }, index) => {
          const place = file === undefined ? `${name}-${index}.ts` : `${name}/${file}`;
          sources.push([`docs-example/${place}`, `${code.replaceAll('{ ... }', '{}')}\nexport {};\n`]);
        });
      }

      expect(sources.length).toBeGreaterThan(40);
      expect(findTypeErrors(Object.fromEntries(sources) as Record<string, string>)).toEqual([]);
    },
    120_000,
  );

  it('are the code of tests, where they can be run', async () => {
    const tests = await readTests();
    const pages = [...(await readPages())].filter(([path]) => runPages.test(path));

    const lines = pages.flatMap(([, page]) => readExamples(page).flatMap(({ code }) => toCode(code)));

    expect(lines.length).toBeGreaterThan(200);
    expect(lines.filter((line) => !line.includes('{ ... }') && !tests.includes(line))).toEqual([]);
  });
});
