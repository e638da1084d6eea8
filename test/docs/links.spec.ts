import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';

import { toAnchor } from '../../docs/.vitepress/to-anchor.js';
import { readPages } from './pages.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

const findAnchors = (page: string): string[] =>
  [...page.replaceAll(/^```[^]*?^```/gm, '').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => toAnchor(heading));

const findLinks = (page: string): string[] =>
  [...page.replaceAll(/^```[^]*?^```/gm, '').matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link = '']) => link)
    .filter((link) => !/^\w+:/.test(link));

/** The pages of the package are beside their README there, as those of the repository are. */
const toPlace = (path: string): string => path.replace(/^libs\/session\/docs\//, 'docs/');

describe('the links of the documentation', () => {
  it('lead to files and headings that are there', async () => {
    const pages = await readPages();

    const links = [...pages].flatMap(([path, page]) =>
      findLinks(page).map((link) => {
        const [file = '', anchor] = link.split('#');
        return { path, link, anchor, target: toPlace(file === '' ? path : posix.join(posix.dirname(path), file)) };
      }),
    );
    const isDead = ({ target, anchor }: (typeof links)[number]): boolean => {
      const page = pages.get(target);
      return anchor === undefined || page === undefined
        ? !existsSync(`${root}${target}`)
        : !findAnchors(page).includes(anchor);
    };

    expect(links.length).toBeGreaterThan(100);
    expect(links.filter(isDead).map(({ path, link }) => `${path}: ${link}`)).toEqual([]);
  });

  it('stay within docs/, which is all that the package and the site have', async () => {
    const pages = [...(await readPages())].filter(([path]) => path.startsWith('docs/'));

    const outside = pages.flatMap(([path, page]) =>
      findLinks(page).filter((link) => !posix.join(posix.dirname(path), link).startsWith('docs/')),
    );

    expect(outside).toEqual([]);
  });

  it('lead to each page from the first one, or from that of its folder, and from the sidebar', async () => {
    const pages = await readPages();
    const sidebar = await readFile(`${root}docs/.vitepress/sidebar.ts`, 'utf8');
    const paths = [...pages.keys()].filter((path) => path.startsWith('docs/') && !path.endsWith('/index.md'));

    const lost = paths.filter((path) => {
      const { dir, base } = posix.parse(path);
      const link = path.replace(/^docs(.*)\.md$/, "'$1'");
      return !pages.get(`${dir}/index.md`)?.includes(`(${base})`) || !sidebar.includes(link);
    });

    expect(lost).toEqual([]);
  });
});
