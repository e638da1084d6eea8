import { once } from 'node:events';
import { PassThrough } from 'node:stream';

import { MikroOrmModule } from '@mikro-orm/nestjs';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, Module, type Type } from '@nestjs/common';
import { repl as startRepl } from '@nestjs/core';
import { InjectSession, InSession, SessionContext, SessionFactory, SessionModule } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { injections, ormOptions, startTestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

@Injectable()
class NotesService {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  count(): Promise<number> {
    return this.session.count(Note);
  }
}

@Injectable()
class Seeder {
  constructor(private readonly context: SessionContext<EntityManager>) {}

  @InSession({ transaction: true })
  async seed(...texts: string[]): Promise<number> {
    texts.forEach((text) => this.context.current.create(Note, { text }));
    return texts.length;
  }
}

describe.each(injections)('the REPL of NestJS, with %s injection', (injection) => {
  let database: TestDatabase;
  let ended: Promise<unknown>;
  const input = new PassThrough();
  const output = new PassThrough({ encoding: 'utf8' });

  beforeAll(async () => {
    database = await createTestDatabase();
    const { app } = await startTestApp({ databaseUrl: database.url });
    await app.close();

    @Module({
      imports: [MikroOrmModule.forRoot(ormOptions(database.url)), SessionModule.forRoot({ injection })],
      providers: [NotesService, Seeder],
    })
    class AppModule {}
    const repl = (module: Type): ReturnType<typeof startRepl> =>
      startRepl(module, { input, output, terminal: false, prompt: '' });
    const server = await repl(AppModule);
    server.context['factory'] = server.context['get'](SessionFactory);
    ended = once(server, 'exit');
  });

  afterAll(async () => {
    input.end();
    await ended;
    await database.until(
      'select count(*) = 1 from pg_stat_activity where datname = current_database() and backend_type = $1',
      ['client backend'],
    );
    await database.drop();
  });

  /** Types a line, and reads what is printed for it. */
  async function type(line: string): Promise<string> {
    input.write(`${line}\n`);
    const [text] = (await once(output, 'data')) as [string];
    return text.trimEnd();
  }

  it('writes and reads in blocks', async () => {
    expect(await type(`await factory.run((session) => session.count('Note'))`)).toBe('0');

    await type(`await factory.begin((session) => session.create('Note', { text: 'one' }).text)`);

    expect(await database.query('select text from note')).toEqual([{ text: 'one' }]);
  });

  it('has sessions for methods with @InSession()', async () => {
    expect(await type(`await get(Seeder).seed('two', 'three')`)).toBe('2');
  });

  it('has them for services in a block', async () => {
    const service = injection === 'contextual' ? 'get(NotesService)' : '(await resolve(NotesService))';

    expect(await type(`await factory.run(async () => ${service}.count())`)).toBe('3');
  });

  it('says what is missing where there is none', async () => {
    expect(await type(`await get(EntityManager).count('Note')`)).toContain('SessionFactory.run()');
  });
});
