import { Injectable } from '@nestjs/common';
import { type JobWorker, SessionFactory } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { Note } from '../support/note.entity.js';
import { startTestApp } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    seams: string;
  }
}

/** Goes on when it is told to end. */
@Injectable()
@JobHandler({ queue: 'seams', retryLimit: 0 })
class PatientHandler implements JobWorker<string, never> {
  readonly begun = Promise.withResolvers<void>();

  async handle(): Promise<never> {
    this.begun.resolve();
    return new Promise<never>(() => {});
  }
}

describe('JobQueue with a pg-boss that does not tell what a command did', () => {
  const { app, database } = useTestApp({
    imports: [JobQueueModule.forRoot({ queues: { seams: {} } })],
  });

  afterEach(() => database.query('delete from pgboss.job'));

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

  it('fails a job that the shutdown has cut, with what it does not know', async () => {
    const worker = await startTestApp({
      databaseUrl: database.url,
      imports: [JobQueueModule.forRoot({ shutdownTimeout: 0 })],
      providers: [PatientHandler],
    });
    const queue = worker.get<JobQueue>(JobQueue);
    const boss = await queue.boss();
    const cancel = boss.cancel.bind(boss);
    boss.cancel = async (...args) => {
      const answer = await cancel(...args);
      Reflect.deleteProperty(answer, 'settled');
      return answer;
    };
    const id = await queue.send('seams', 'cut');
    await worker.get<PatientHandler>(PatientHandler).begun.promise;

    await worker.close();

    const [job] = await database.query(
      `select state, output ->> 'message' as message from pgboss.job where id = '${id}'`,
    );
    expect(job).toEqual({
      state: 'failed',
      message: expect.stringMatching(
        /^Whether a command .*: "settled" of pg-boss .*\(seam "pg-boss\/command-answers"\)/,
      ),
    });
  });
});
