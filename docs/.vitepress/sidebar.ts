import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';

import type { DefaultTheme } from 'vitepress';

const api = join(import.meta.dirname, '..', 'api');

/** The order of the pages, for the site and for llms.txt. */
export const sidebar: DefaultTheme.SidebarItem[] = [
  {
    text: 'Guide',
    items: [
      { text: 'Getting started', link: '/getting-started' },
      { text: 'Concepts', link: '/concepts' },
      { text: 'Transactions', link: '/transactions' },
      { text: 'Jobs', link: '/jobs' },
      { text: 'Durable jobs', link: '/durable-jobs' },
      { text: 'Testing', link: '/testing' },
      { text: 'Tenants', link: '/tenants' },
      { text: 'Options', link: '/options' },
      { text: 'Compatibility', link: '/compatibility' },
      { text: 'Drivers', link: '/drivers' },
      { text: 'Migrating', link: '/migrating' },
    ],
  },
  {
    text: 'Places',
    items: [
      { text: 'All places', link: '/places/' },
      { text: 'HTTP', link: '/places/http' },
      { text: 'GraphQL', link: '/places/graphql' },
      { text: 'WebSocket gateways', link: '/places/websockets' },
      { text: 'Microservices', link: '/places/microservices' },
      { text: 'BullMQ', link: '/places/bullmq' },
      { text: 'RabbitMQ (golevelup)', link: '/places/rabbitmq' },
      { text: 'Scheduled methods', link: '/places/schedule' },
      { text: 'Event listeners', link: '/places/events' },
      { text: 'Methods', link: '/places/methods' },
      { text: 'Commands', link: '/places/commands' },
      { text: 'Scripts and hooks', link: '/places/scripts' },
      { text: 'Several connections', link: '/places/connections' },
      { text: 'Contexts', link: '/places/contexts' },
      { text: 'A place of your own', link: '/places/own' },
    ],
  },
  {
    text: 'In production',
    items: [
      { text: 'Production', link: '/production' },
      { text: 'The inspector', link: '/inspector' },
      { text: 'Troubleshooting', link: '/troubleshooting' },
      { text: 'Benchmark', link: '/benchmark' },
      { text: 'Chaos', link: '/chaos' },
      { text: 'Seams', link: '/seams' },
      { text: 'The demo', link: '/demo' },
    ],
  },
  { text: 'API', items: [{ text: 'All exports', link: '/api/' }, ...readApi('nestjs-mikro-session')] },
];

/** The pages that TypeDoc has made of one door, and the folders of what kind they are. */
function readApi(door: string): DefaultTheme.SidebarItem[] {
  const entries = readdirSync(join(api, door), { withFileTypes: true }).filter(({ name }) => name !== 'index.md');
  return entries.map(({ name }) => {
    const items = isDoor(name) ? readApi(`${door}/${name}`) : readMembers(`${door}/${name}`);
    return { text: isDoor(name) ? `/${name}` : name, collapsed: true, items };
  });
}

function readMembers(folder: string): DefaultTheme.SidebarItem[] {
  const names = readdirSync(join(api, folder)).map((file) => basename(file, '.md'));
  return names.toSorted().map((name) => ({ text: name, link: `/api/${folder}/${name}` }));
}

function isDoor(name: string): boolean {
  return !['classes', 'functions', 'interfaces', 'type-aliases', 'variables'].includes(name);
}
