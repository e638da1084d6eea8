import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, SessionFactory } from 'nestjs-mikro-session';
import { type InspectorState, SessionInspectorModule } from 'nestjs-mikro-session/inspector';

import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { EventReader } from './support/event-reader.js';

const LIVE = 10_000;
const ENDING = 5_000;

describe('the inspector of a crowd', () => {
  let database: TestDatabase;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url, imports: [SessionInspectorModule.forRoot()] });
  });

  afterAll(async () => {
    await app.app.close();
    await database.drop();
  });

  it('counts all scopes and describes the oldest, while others come and go', async () => {
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const over = Promise.withResolvers<void>();
    const crowd = Array.from({ length: LIVE }, (_, index) =>
      factory.run(() => over.promise, { label: `one of many ${index}` }),
    );
    await using reader = await EventReader.open(`${app.url}/sessions/events`);

    await app
      .get<JobService<EntityManager>>(JobService)
      .map([...Array(ENDING).keys()], () => undefined, { transaction: 'none', concurrency: 10, label: 'Passing' });
    await reader.until(() => reader.changes.some(({ runs }) => runs?.at(-1)?.endedAt !== undefined));
    const state = (await (await fetch(`${app.url}/sessions/state`)).json()) as InspectorState;
    over.resolve();
    await Promise.all(crowd);

    expect(state.live.total).toBe(LIVE);
    expect(state.live.scopes.map(({ label }) => label)).toEqual(
      Array.from({ length: 500 }, (_, index) => `one of many ${index}`),
    );
    expect(state.ended).toHaveLength(1_000);
    expect(state.ended.at(-1)?.key).toBe(ENDING);
  });
});
