import type { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get } from '@nestjs/common';
import { InjectSession, SessionFactory, UnflushedChangesError } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { injections, platforms, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

@Controller()
class ForgetfulController {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @Get()
  get(): string {
    this.session.create(Note, { text: 'forgotten' });
    return 'ok';
  }
}

describe('the option `unflushed`', () => {
  let database: TestDatabase;
  let app: TestApp;
  let factory: SessionFactory<EntityManager>;

  const start = async (unflushed?: 'warn' | 'error' | 'ignore'): Promise<void> => {
    app = await startTestApp({ databaseUrl: database.url, session: unflushed === undefined ? {} : { unflushed } });
    factory = app.get(SessionFactory);
    await database.query(`insert into note (text) values ('a')`);
  };

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterEach(() => app.close());

  afterAll(() => database.drop());

  const forget = (): Promise<number> =>
    factory.run(
      async (session) => {
        session.remove(await session.findOneOrFail(Note, { text: 'a' }));
        session.create(Note, { text: 'new' });
        return 7;
      },
      { label: 'import' },
    );

  const change = (): Promise<number> =>
    factory.run(async (session) => {
      (await session.findOneOrFail(Note, { text: 'a' })).text = 'changed';
      return 7;
    });

  it('warns by default, with the names of the entities, and gives the result', async () => {
    await start();
    using log = new CapturedLog();

    const result = await forget();

    expect(result).toBe(7);
    expect(log.warnings).toEqual([
      expect.stringMatching(
        /^The scope "import" ended with 2 unflushed change\(s\), which are lost: Note, Note \d+\. Call session\.flush\(\), or do the work in SessionFactory\.begin\(\)\.$/,
      ),
    ]);
  });

  it('set to error throws, also for what was only changed', async () => {
    await start('error');

    await expect(forget()).rejects.toThrow(UnflushedChangesError);
    await expect(change()).rejects.toThrow('unflushed change(s), which are lost: Note');
  });

  it('set to ignore says nothing', async () => {
    await start('ignore');
    using log = new CapturedLog();

    await forget();

    expect(log.warnings).toEqual([]);
  });

  it('says nothing of what was flushed or committed, nor when the scope threw', async () => {
    await start('error');
    using log = new CapturedLog();

    await factory.begin(async (session) => {
      session.create(Note, { text: 'kept' });
    });
    await factory.run(async (session) => {
      session.create(Note, { text: 'kept' });
      await session.flush();
    });
    await factory.run(async (session) => {
      session.create(Note, { text: 'kept' });
      await session.transactional(async (inner) => {
        inner.create(Note, { text: 'kept' });
      });
    });
    const thrown = factory.run((session) => {
      session.create(Note, { text: 'lost' });
      throw new Error('on purpose');
    });

    await expect(thrown).rejects.toThrow('on purpose');
    expect(log.warnings).toEqual([]);
  });
});

describe.each(platforms)('a request that forgets to flush, over %s', (platform) => {
  it.each(injections)('is warned of, with %s injection', async (injection) => {
    const database = await createTestDatabase();
    const app = await startTestApp({
      databaseUrl: database.url,
      platform,
      session: { injection },
      controllers: [ForgetfulController],
    });
    using log = new CapturedLog();

    await fetch(app.url).then((response) => response.text());
    await app.close();

    expect(log.warnings).toEqual([expect.stringContaining('The scope "GET /" ended with 1 unflushed change(s)')]);
    await database.drop();
  });
});
