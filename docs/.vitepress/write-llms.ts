import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { DefaultTheme, SiteConfig } from 'vitepress';

import { sidebar } from './sidebar.ts';

interface Page {
  readonly path: string;
  readonly title: string;
  readonly text: string;
}

/** Writes llms.txt, a list of the pages, llms-full.txt, all of them in one, and the Markdown of each beside its page. */
export async function writeLlms({ srcDir, outDir, site }: SiteConfig): Promise<void> {
  const head = `# ${site.title}\n\n> ${site.description}\n`;
  const sections = await Promise.all(
    sidebar.filter(({ text }) => text !== 'API').map((item) => readSection(srcDir, item)),
  );
  const pages = sections.flatMap((section) => section.pages);

  const lists = sections.map(({ title, pages }) => `\n## ${title}\n\n${pages.map(toLine).join('\n')}\n`);
  await writeFile(join(outDir, 'llms.txt'), head + lists.join(''));
  await writeFile(join(outDir, 'llms-full.txt'), [head, ...pages.map(({ text }) => text)].join('\n'));
  for (const { path } of pages) {
    await mkdir(dirname(join(outDir, path)), { recursive: true });
    await copyFile(join(srcDir, path), join(outDir, path));
  }

  function toLine({ path, title, text }: Page): string {
    return `- [${title}](${site.base}${path}): ${firstSentence(text)}`;
  }
}

async function readSection(srcDir: string, { text: title = '', items = [] }: DefaultTheme.SidebarItem) {
  return { title, pages: await Promise.all(items.map((item) => readPage(srcDir, item))) };
}

async function readPage(srcDir: string, { text: title = '', link = '' }: DefaultTheme.SidebarItem): Promise<Page> {
  const path = `${link.slice(1)}${link.endsWith('/') ? 'index' : ''}.md`;
  return { path, title, text: await readFile(join(srcDir, path), 'utf8') };
}

/** Of the first paragraph that is text. */
function firstSentence(page: string): string {
  const text = page.replaceAll(/^```[^]*?^```/gm, '').replaceAll(/<\/?\w+>/g, '');
  const paragraph = text.split('\n\n').find((part) => /^[\w`]/.test(part)) ?? '';
  return paragraph
    .replaceAll('\n', ' ')
    .replace(/(?<=[.:]) [^a-z].*/, '')
    .replace(/:$/, '.');
}
