import { setTimeout as pause } from 'node:timers/promises';

import type { EntityManager } from '@mikro-orm/postgresql';
import { type DynamicModule, Injectable, Module } from '@nestjs/common';
import { InjectSession, SessionFactory } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { expectEqual } from './expect-equal.js';
import { Note } from './note.js';
import type { Extra } from './smoke.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    notes: string;
  }
}

@Injectable()
@JobHandler({ queue: 'notes', retryLimit: 0, pollingIntervalSeconds: 0.5 })
class NoteHandler {
  @InjectSession() private readonly session!: EntityManager;

  handle(text: string): string {
    this.session.create(Note, { text });
    return text;
  }
}

@Module({ imports: [JobQueueModule.forRoot({ shutdownTimeout: 1_000 })], providers: [NoteHandler] })
class QueueModule {}

/** A durable job, which is sent in a transaction. */
export const queue: Extra = {
  name: 'durable job',
  modules: (): DynamicModule[] => [{ module: QueueModule }],
  check: async (app) => {
    const sessions = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const jobs = app.get(JobQueue);
    const failed = sessions.begin(async () => {
      await jobs.send('notes', 'never sent');
      throw new Error('on purpose');
    });
    expectEqual(await failed.then(() => 'none', String), 'Error: on purpose');
    await sessions.begin(() => jobs.send('notes', 'durable'));
    let texts: string[] = [];
    while (texts.length === 0) {
      await pause(20);
      const notes = await sessions.run((session) => session.find(Note, { text: ['durable', 'never sent'] }));
      texts = notes.map(({ text }) => text);
    }
    expectEqual(texts, ['durable']);
  },
};
