import { type BossOptions, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { Note } from '../../support/note.entity.js';
import { startTestApp, type TestApp } from '../../support/test-app.js';
import { Effect } from './worker-app/effect.entity.js';
import { createEffectHandler } from './worker-app/effect-handler.js';
import { queuePolicy, type WorkerSettings } from './worker-app/worker-settings.js';

/** Starts an application that sends to the queue of effects, and works on none. */
export function startSendingApp(databaseUrl: string, boss: BossOptions = {}): Promise<TestApp> {
  return startTestApp({
    databaseUrl,
    imports: [JobQueueModule.forRoot({ work: false, boss, queues: { effects: queuePolicy } })],
    orm: { entities: [Note, Effect] },
  });
}

/** Starts an application that works on the queue of effects in this process, where it takes less than one of its own. */
export function startWorkingApp(settings: WorkerSettings): Promise<TestApp> {
  return startTestApp({
    databaseUrl: settings.databaseUrl,
    imports: [JobQueueModule.forRoot({ boss: { superviseIntervalSeconds: 1, monitorIntervalSeconds: 1 } })],
    providers: [createEffectHandler(settings, () => undefined)],
    orm: { entities: [Note, Effect] },
  });
}
