import { defineConfig } from 'vitepress';

import { sidebar } from './sidebar.ts';
import { toAnchor } from './to-anchor.ts';
import { writeLlms } from './write-llms.ts';

export default defineConfig({
  title: 'nestjs-mikro-session',
  description: 'A MikroORM session of its own for every request, message and job in NestJS',
  lang: 'en',
  // Where the site does not lie at the root of its host.
  base: process.env['DOCS_BASE'] ?? '/',
  markdown: { anchor: { slugify: toAnchor } },
  themeConfig: {
    nav: [
      { text: 'Guide', link: '/getting-started' },
      { text: 'Places', link: '/places/' },
      { text: 'Troubleshooting', link: '/troubleshooting' },
      { text: 'API', link: '/api/' },
    ],
    sidebar,
    outline: [2, 3],
    search: { provider: 'local' },
  },
  buildEnd: writeLlms,
});
