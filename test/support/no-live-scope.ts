import { setImmediate as nextTurn } from 'node:timers/promises';

import { SessionRegistry } from 'nestjs-mikro-session';

import type { TestApp } from './test-app.js';

/** Waits until no scope has a session any more. For work that nobody awaits: ticks, listeners, events of a worker. */
export async function noLiveScope(app: TestApp): Promise<void> {
  const registry = app.get<SessionRegistry>(SessionRegistry);
  while (registry.list().length > 0) {
    await nextTurn();
  }
}
