import type { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, Post } from '@nestjs/common';
import { InjectSession } from 'nestjs-mikro-session';

import { NetworkProxy } from '../support/network-proxy.js';
import { Note } from '../support/note.entity.js';
import { ROW_LEVEL_SECURITY } from '../support/row-level-security.js';
import { describeSince } from '../support/since.js';
import { injections, platforms, startTestApp } from '../support/test-app.js';
import { createTestDatabase } from '../support/test-database.js';

const ROLE = 'round_trips_role';

@Controller()
class NotesController {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @Get('nothing')
  nothing(): string {
    return 'nothing';
  }

  @Get('notes')
  async find(): Promise<string[]> {
    return (await this.session.find(Note, {})).map(({ text }) => text);
  }

  @Post('notes')
  create(): void {
    this.session.create(Note, { text: 'b', tenant: 'b' });
  }
}

describeSince('@mikro-orm/core', ROW_LEVEL_SECURITY).each(platforms)(
  'a request in a transaction with row-level security, over %s',
  (platform) => {
    it.each(injections)('takes no round trip for that, with %s injection', async (injection) => {
      const database = await createTestDatabase();
      await using network = await NetworkProxy.start(database.url);
      const app = await startTestApp({
        databaseUrl: network.url,
        platform,
        controllers: [NotesController],
        orm: { pool: { min: 0, max: 1 } },
        session: {
          injection,
          http: { transaction: true },
          fork: { session: { role: ROLE, variables: { 'app.tenant': 'b' } } },
        },
      });
      await database.query(`create role ${ROLE}`);
      await database.query(`grant all on note to ${ROLE}`);
      await database.query(`grant all on all sequences in schema public to ${ROLE}`);
      await database.query('alter table note enable row level security');
      await database.query(`create policy own on note using (tenant = current_setting('app.tenant'))`);
      await database.query(`insert into note (text, tenant) values ('a', 'a'), ('b', 'b')`);
      const count = async (path: string, method = 'GET'): Promise<[string, number]> => {
        const before = network.answers;
        const body = await (await fetch(`${app.url}/${path}`, { method })).text();
        return [body, network.answers - before];
      };
      // The connection is opened, and made as new after what made the table.
      await count('notes');
      await count('notes');

      expect([await count('nothing'), await count('notes'), await count('notes', 'POST')]).toEqual([
        ['nothing', 0],
        ['["b"]', 2],
        ['', 2],
      ]);
      await app.close();
      await database.query(`drop owned by ${ROLE}`);
      await database.query(`drop role ${ROLE}`);
      await database.drop();
    });
  },
);
