import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type JobWorker, SessionContext, SessionFactory } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule, type QueueJobContext } from 'nestjs-mikro-session/pg-boss';

import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    notes: string;
  }
}

@Injectable()
@JobHandler({ queue: 'notes', retryLimit: 0 })
class NoteHandler implements JobWorker<string, string> {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext,
  ) {}

  handle(text: string, { id, index, attempt }: QueueJobContext): string {
    this.session.create(Note, { text });
    if (text.startsWith('bad')) {
      throw Object.assign(new RangeError(`told to fail on ${text}`), { code: 'E_BAD' });
    }
    return `${text} ${index} ${attempt} ${id} ${this.context.scope.label}`;
  }
}

describe('JobQueue', () => {
  let database: TestDatabase;
  let app: TestApp;
  let queue: JobQueue;
  let sessions: SessionFactory<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      imports: [JobQueueModule.forRoot()],
      providers: [NoteHandler],
    });
    queue = app.get(JobQueue);
    sessions = app.get(SessionFactory);
  });

  afterEach(async () => {
    await database.query('delete from pgboss.job');
    await database.query('delete from note');
  });

  afterAll(async () => {
    await app.app.close();
    await database.drop();
  });

  it('runs a job in a session of its own, and stores what it wrote and its output', async () => {
    const id = await queue.send('notes', 'hello');

    await database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);
    const [note] = await database.query<{ text: string }>('select text from note');
    expect(note?.text).toBe('hello');
    const [job] = await database.query<{ output: unknown }>('select output from pgboss.job');
    expect(job?.output).toEqual({ value: `hello 0 1 ${id} job ${id} of queue "notes"` });
  });

  it('rolls back what a job wrote that fails, and stores the error', async () => {
    await queue.send('notes', 'bad one');

    await database.until(`select count(*) = 1 from pgboss.job where state = 'failed'`);
    expect(await database.query('select text from note')).toEqual([]);
    const [job] = await database.query<{ output: unknown }>('select output from pgboss.job');
    expect(job?.output).toMatchObject({ name: 'RangeError', message: 'told to fail on bad one', code: 'E_BAD' });
  });

  it('sends with the transaction of the session', async () => {
    await sessions.begin(async (session) => {
      await queue.send('notes', 'kept');
      await session
        .transactional(async () => {
          await queue.send('notes', 'savepoint');
          throw new Error('roll back');
        })
        .catch(() => undefined);
    });
    await sessions
      .begin(async () => {
        await queue.send('notes', 'lost');
        throw new Error('roll back');
      })
      .catch(() => undefined);

    await database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);
    const jobs = await database.query('select data from pgboss.job');
    expect(jobs).toEqual([{ data: { input: 'kept' } }]);
  });

  it('sends many', async () => {
    const count = await queue.sendMany(
      'notes',
      Array.from({ length: 2_500 }, (_, nth) => `note ${nth}`),
    );

    expect(count).toBe(2_500);
    await database.until(`select count(*) = 2500 from pgboss.job where state = 'completed'`);
    const [row] = await database.query('select count(distinct text)::int as count from note');
    expect(row).toEqual({ count: 2_500 });
  });
});
