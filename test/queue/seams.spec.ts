import { SessionFactory } from 'nestjs-mikro-session';
import { JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    seams: string;
  }
}

describe('JobQueue with a pg-boss that does not tell what a command did', () => {
  let database: TestDatabase;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      imports: [JobQueueModule.forRoot({ queues: { seams: {} } })],
    });
  });

  afterAll(async () => {
    await app.app.close();
    await database.drop();
  });

  it('fails, and rolls the transaction around it back', async () => {
    const queue = app.get<JobQueue>(JobQueue);
    const factory = app.get<SessionFactory>(SessionFactory);
    const boss = await queue.boss();
    const cancel = boss.cancel.bind(boss);
    boss.cancel = async (...args) => {
      const answer = await cancel(...args);
      Reflect.deleteProperty(answer, 'affected');
      return answer;
    };
    const id = (await queue.send('seams', 'kept')) ?? '';

    const work = factory.begin(async (session) => {
      session.create(Note, { text: 'lost' });
      await queue.cancel('seams', id);
    });

    await expect(work).rejects.toMatchObject({
      code: 'SESSION_SETUP',
      message: expect.stringMatching(
        /^Whether a command had an effect on jobs cannot be known: "affected" of pg-boss [\d.]+ is not .*"pg-boss\/command-/,
      ),
    });
    await expect(factory.run((session) => session.count(Note))).resolves.toBe(0);
    await expect(boss.getJobById('seams', id)).resolves.toMatchObject({ state: 'created' });
  });
});
