import { type BossOptions, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { Note } from '../../support/note.entity.js';
import { startTestApp, type TestApp } from '../../support/test-app.js';
import { Effect } from './worker-app/effect.entity.js';
import { queuePolicy } from './worker-app/worker-settings.js';

/** Starts an application that sends to the queue of effects, and works on none. */
export function startSendingApp(databaseUrl: string, boss: BossOptions = {}): Promise<TestApp> {
  return startTestApp({
    databaseUrl,
    imports: [JobQueueModule.forRoot({ work: false, boss, queues: { effects: queuePolicy } })],
    orm: { entities: [Note, Effect] },
  });
}
