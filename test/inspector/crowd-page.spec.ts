import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setInterval as pace } from 'node:timers/promises';

import type { EntityManager } from '@mikro-orm/postgresql';
import { SessionFactory } from 'nestjs-mikro-session';
import { SessionInspectorModule } from 'nestjs-mikro-session/inspector';

import { describeInBrowser } from '../support/browser.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const LIVE = 10_000;
/** 100,000 scopes a minute. */
const PER_SECOND = 1_667;
const STEPS_PER_SECOND = 10;
const SECONDS = 4;
/** Longer than this, a page or a server would count as frozen, also on a busy machine. */
const FROZEN_MS = 3_000;

describeInBrowser('the page of a crowd', (browser) => {
  let database: TestDatabase;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ databaseUrl: database.url, imports: [SessionInspectorModule.forRoot()] });
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  it('does not freeze, nor does the server, and shows what is there now', async () => {
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const over = Promise.withResolvers<void>();
    const crowd = Array.from({ length: LIVE }, (_, index) =>
      factory.run(() => over.promise, { label: `one of many ${index}` }),
    );
    const page = await browser.current.newPage({ viewport: { width: 1280, height: 900 } });
    await page.goto(`${app.url}/sessions`);
    await page.getByText('Live', { exact: true }).waitFor();
    // The longest time between two frames, as the page itself sees it.
    const frames = await page.evaluateHandle<{ readonly longest: number }>(`(() => {
      const seen = { longest: 0, last: performance.now() };
      const next = (time) => {
        seen.longest = Math.max(seen.longest, time - seen.last);
        seen.last = time;
        requestAnimationFrame(next);
      };
      requestAnimationFrame(next);
      return seen;
    })()`);
    const delays = monitorEventLoopDelay({ resolution: 10 });
    delays.enable();

    let steps = 0;
    for await (const _ of pace(1_000 / STEPS_PER_SECOND)) {
      steps += 1;
      const passing = { label: `passing ${steps}` };
      await Promise.all(
        Array.from({ length: PER_SECOND / STEPS_PER_SECOND }, () => factory.run(() => undefined, passing)),
      );
      if (steps === SECONDS * STEPS_PER_SECOND) {
        break;
      }
    }
    await page.locator('#scopes').getByRole('searchbox').fill('one of many 499');
    await page.locator('#scopes').getByRole('row').nth(2).waitFor({ state: 'detached' });
    const found = await page.locator('#scopes').getByRole('row').nth(1).innerText();
    await page.getByText('The last 50 as a table').click();
    await page
      .locator('#timeline')
      .getByRole('row', { name: `passing ${steps}` })
      .first()
      .waitFor();
    const summary = await page.locator('dl.summary').innerText();
    delays.disable();
    const { longest } = await frames.jsonValue();
    over.resolve();
    await Promise.all(crowd);
    await page.close();

    expect(longest).toBeLessThan(FROZEN_MS);
    expect(delays.max / 1e6).toBeLessThan(FROZEN_MS);
    expect(found).toContain('one of many 499');
    expect(summary).toContain('10,000');
  });
});
