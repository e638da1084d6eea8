import type { EntityManager } from '@mikro-orm/postgresql';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { Controller, Param, Post } from '@nestjs/common';
import { InjectSession, SessionModule } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { injections, ormOptions, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { watchCommits } from '../support/watched-commit.js';

@Controller()
class BothController {
  constructor(
    @InjectSession() private readonly main: EntityManager,
    @InjectSession('reports') private readonly reports: EntityManager,
    @InjectSession('plain') private readonly plain: EntityManager,
  ) {}

  @Post('notes/:main/:reports')
  create(@Param('main') main: string, @Param('reports') reports: string): object {
    this.main.create(Note, { text: main });
    this.reports.create(Note, { text: reports, ...(reports === 'impossible' && { id: 2 ** 40 }) });
    return [this.main, this.reports, this.plain].map((session) => session.isInTransaction());
  }
}

describe.each(injections)('http.transaction of several connections with %s injection', (injection) => {
  let main: TestDatabase;
  let reports: TestDatabase;
  let app: TestApp;
  let log: CapturedLog;

  beforeAll(async () => {
    [main, reports] = await Promise.all([createTestDatabase(), createTestDatabase()]);
    const http = { transaction: true } as const;
    app = await startTestApp({
      databaseUrl: main.url,
      session: { injection, http },
      imports: [
        MikroOrmModule.forRoot({ ...ormOptions(reports.url), contextName: 'reports' }),
        SessionModule.forRoot({ contextName: 'reports', injection, http }),
        MikroOrmModule.forRoot({ ...ormOptions(reports.url), contextName: 'plain' }),
        SessionModule.forRoot({ contextName: 'plain', injection }),
      ],
      controllers: [BothController],
    });
    await reports.query(
      `create table note (id serial primary key, text text not null, tenant text not null default 'a')`,
    );
    await Promise.all([watchCommits(main), watchCommits(reports)]);
  });

  beforeEach(async () => {
    log = new CapturedLog();
    await Promise.all([main, reports].map((database) => database.query('delete from note')));
  });

  afterEach(() => log[Symbol.dispose]());

  afterAll(async () => {
    await app.close();
    await Promise.all([main.drop(), reports.drop()]);
  });

  const post = (path: string): Promise<Response> => fetch(`${app.url}/notes/${path}`, { method: 'POST' });

  const countNotes = async (): Promise<number[]> =>
    Promise.all(
      [main, reports].map(
        async (database) => (await database.query<{ n: number }>('select count(*)::int as n from note'))[0]!.n,
      ),
    );

  it('is one transaction on each connection that wants one', async () => {
    expect(await post('a/b').then((response) => response.json())).toEqual([true, true, false]);
    expect(await countNotes()).toEqual([1, 1]);
  });

  it('commits none when one cannot be flushed', async () => {
    expect((await post('a/impossible')).status).toBe(500);
    expect(await countNotes()).toEqual([0, 0]);
  });

  it('tells of the one that fails to commit, which comes too late for those before', async () => {
    expect((await post('refused/b')).status).toBe(500);
    expect((await post('a/refused')).status).toBe(500);
    expect((await countNotes()).filter((count) => count === 1)).toHaveLength(1);
    expect(log.errors).toEqual([expect.stringContaining('refused'), expect.stringContaining('refused')]);
  });
});
