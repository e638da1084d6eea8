import { existsSync } from 'node:fs';

import axe, { type AxeResults } from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** What is worse than an annoyance. */
const GRAVE: ReadonlySet<unknown> = new Set(['serious', 'critical']);

/** Describes what a page does in a browser: that of CHROMIUM_PATH, or one at a usual place. Without one, says so and skips. */
export function describeInBrowser(what: string, tests: (browser: { readonly current: Browser }) => void): void {
  const executablePath = process.env['CHROMIUM_PATH'] || PLACES.find((path) => existsSync(path));
  if (executablePath === undefined) {
    process.stderr.write(`Skipped: ${what}. There is no Chromium: set CHROMIUM_PATH.\n`);
    describe.skip(what, () => tests({} as { readonly current: Browser }));
    return;
  }
  describe(what, () => {
    const browser = {} as { current: Browser };

    beforeAll(async () => {
      browser.current = await chromium.launch({ executablePath });
    });

    afterAll(() => browser.current.close());

    tests(browser);
  });
}

/** Returns what axe finds to be a grave hindrance, with the elements. */
export async function findHindrances(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<AxeResults>('axe.run()');
  return violations
    .filter(({ impact }) => GRAVE.has(impact))
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(', ')}`);
}
