import type { Page } from 'playwright-core';

import { describeInBrowser, findHindrances } from '../support/browser.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type DemoApp, startDemo } from './support/demo-app.js';

/** Less than that of a test, so that it is told what was waited for. */
const PATIENCE_MS = 25_000;

const MARKUP = '<img src="x" onerror="document.title=1">';

interface Fields {
  readonly numbers: string;
  readonly concurrency?: string;
  readonly delay?: string;
  readonly failOn?: string;
}

describeInBrowser('the page of the demo', (browser) => {
  let database: TestDatabase;
  let demo: DemoApp;
  let page: Page;
  let hosts: Set<string>;
  let complaints: string[];

  beforeAll(async () => {
    database = await createTestDatabase();
    demo = await startDemo(database.url);
    page = await browser.current.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('request', (request) => hosts.add(new URL(request.url()).origin));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  });

  beforeEach(async () => {
    hosts = new Set();
    complaints = [];
    await page.goto('about:blank');
    await page.goto(demo.client.url);
  });

  afterEach(async () => {
    expect([...hosts]).toEqual([demo.client.url]);
  });

  afterAll(async () => {
    await page.close();
    await demo.close();
    await database.drop();
  });

  async function start({ numbers, concurrency = '4', delay = '0', failOn = '' }: Fields): Promise<void> {
    await page.getByLabel('Numbers', { exact: true }).fill(numbers);
    await page.getByLabel('Jobs at once').fill(concurrency);
    await page.getByLabel('Delay').fill(delay);
    await page.getByLabel('Fail on').fill(failOn);
    await page.getByRole('button', { name: 'Start' }).click();
  }

  const bars = () => page.getByRole('group', { name: 'Lanes' }).getByRole('button');
  const rows = () => page.getByRole('region', { name: 'Results' }).locator('tbody tr');
  const untilTold = (state: string): Promise<void> => page.getByText(RegExp(`^${state}: `)).waitFor();
  const runId = (): string => new URL(page.url()).hash.slice(1);

  it('shows a run while it goes on: its jobs in their lanes, each with a session of its own', async () => {
    await start({ numbers: '1-12', delay: '500', failOn: '7' });
    await page.locator('.bar.running').first().waitFor();
    await page.locator('.bar.done').first().waitFor();
    await untilTold('done');
    await page.locator('.bar.failed').waitFor();
    await page.getByText('12 jobs, 12 sessions.').waitFor();
    await bars().and(page.locator('.done')).nth(10).waitFor();

    const { body: results } = await demo.client.results(runId());
    const labels = await bars().evaluateAll((all) => all.map((bar) => bar.getAttribute('aria-label') ?? ''));
    const tops = await bars().evaluateAll((all) => all.map((bar) => bar.getBoundingClientRect().top));
    const done = results.items.filter(({ status }) => status === 'done');
    expect(
      labels.filter((label) => label.includes('committed')).map((label) => label.replace(/, \d+ ms$/, '')),
    ).toEqual(expect.arrayContaining(done.map((job) => `Number ${job.number}, session ${job.sessionId}, committed`)));
    expect(labels).toHaveLength(12);
    expect(new Set(tops).size).toBe(4);
    expect(await rows().nth(11).innerText()).toMatch(/^12\t2 × 2 × 3\t[0-9a-f-]{36}\t\d+ ms$/);
    expect(await rows().nth(6).innerText()).toMatch(/^7\t.*\t[0-9a-f-]{36}\t\d+ ms$/);
    expect(await page.getByRole('status').first().textContent()).toBe('The run is done');
    expect(complaints).toEqual([]);
  });

  it('cancels a run', async () => {
    await start({ numbers: '1-500', delay: '2000' });
    await page.locator('.bar.running').nth(3).waitFor();

    await page.getByRole('button', { name: 'Cancel the run' }).click();
    await untilTold('cancelled');

    const { body: run } = await demo.client.find(runId());
    expect(run).toMatchObject({ state: 'cancelled', total: 500 });
    expect(await page.getByRole('button', { name: 'Cancel the run' }).isVisible()).toBe(false);
    expect(await page.evaluate('document.activeElement.id')).toBe('run-title');
    expect(complaints).toEqual([]);
  });

  it.each([
    ['Share a session', 'SessionOwnershipError', 'was used in "job 1 of'],
    ['Use it after its end', 'SessionClosedError', 'was used after its end'],
    ['Fill the pool', 'SessionPoolDeadlockError', 'all 2 of the pool are held'],
  ])('shows the error of the button "%s"', async (name, error, message) => {
    const card = page.getByRole('article').filter({ has: page.getByRole('heading', { name, exact: true }) });

    await card.getByRole('button', { name }).click();
    await card.getByText(error, { exact: true }).waitFor();

    const more = await card.getByRole('link').getAttribute('href');
    const guide = await page.request.get(`${demo.client.url}/${more}`);

    expect(await card.getByRole('status').innerText()).toContain(message);
    expect(await guide.text()).toContain(`id="${new URL(guide.url()).hash.slice(1)}"`);
    expect(complaints).toEqual([]);
  });

  it('shows markup as the text that it is', async () => {
    await start({ numbers: MARKUP });
    await page.getByRole('alert').getByText('<img').waitFor();
    const { id } = await demo.client.complete({ numbers: [12, 13], simulate: { failOn: [13] } });
    await database.query('update factorisation set error = $1 where run_id = $2 and index = 1', [MARKUP, id]);

    await page.goto(`${demo.client.url}/#${id}`);
    await page.getByRole('cell', { name: MARKUP }).waitFor();

    expect(await page.locator('img').count()).toBe(0);
    expect(await page.title()).toBe('A session per job');
  });

  it('says of a run in the address that is none what is wrong with it', async () => {
    await page.goto(`${demo.client.url}/#${encodeURIComponent(MARKUP)}`);

    await page.getByText('id: expected a UUID').waitFor();
    await page.goto(`${demo.client.url}/#00000000-0000-4000-8000-000000000000`);
    await page.getByText('There is no run "00000000-0000-4000-8000-000000000000".').waitFor();

    expect(await page.locator('img').count()).toBe(0);
  });

  it('goes on when the server answers again', async () => {
    await start({ numbers: '1-100', delay: '100' });
    await page.locator('.bar.done').first().waitFor();

    await page.context().setOffline(true);
    await page.getByText('The server cannot be reached').waitFor();
    await page.context().setOffline(false);
    await untilTold('done');
    await page.getByText('100 jobs, 100 sessions.').waitFor();

    expect(await page.getByText('The server cannot be reached').count()).toBe(0);
  });

  it('goes from job to job by the arrow keys, and tells which it is at', async () => {
    await start({ numbers: '1-8', concurrency: '2', delay: '20' });
    await untilTold('done');
    await page.getByText('8 jobs, 8 sessions.').waitFor();
    const label = (): Promise<string | null> => page.locator(':focus').getAttribute('aria-label');

    await bars().first().focus();
    await page.keyboard.press('End');
    const last = await label();
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowRight');

    expect(last).toMatch(/^Number [78], session /);
    expect(await label()).toMatch(/^Number [12], session /);
    expect(await page.locator('#chosen').innerText()).toBe(await label());
    expect(await bars().evaluateAll((all) => all.filter((bar) => bar.getAttribute('tabindex') === '0').length)).toBe(1);
  });

  it('lists the runs, and turns the pages of one that has many results', async () => {
    const { id } = await demo.client.complete({ from: 1, to: 250, concurrency: 16 });
    await page.reload();

    await page.getByRole('button', { name: id }).click();
    await page.getByText('1 to 100 of 250').waitFor();
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByText('101 to 200 of 250').waitFor();
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByText('201 to 250 of 250').waitFor();

    expect(await rows().first().innerText()).toMatch(/^201\t/);
    expect(await page.getByRole('button', { name: 'Next' }).isDisabled()).toBe(true);
  });

  it('shows a run on the queue', async () => {
    await page.getByLabel('Engine').selectOption('Durable queue');
    await start({ numbers: '1-6', delay: '20', failOn: '3' });
    await untilTold('done');
    await page.getByText('6 jobs, 6 sessions.').waitFor();

    expect((await demo.client.find(runId())).body).toMatchObject({ engine: 'queue', done: 5, failed: 1 });
    expect(await page.locator('.bar.failed').count()).toBe(1);
  });

  it('leads to the live sessions and to the REST interface', async () => {
    const links = page.getByRole('navigation').getByRole('link');

    expect(await links.evaluateAll((all) => all.map((link) => link.getAttribute('href')))).toEqual([
      'sessions',
      'docs',
      'health',
    ]);
  });

  it.each([
    ['light', 1200],
    ['dark', 1200],
    ['light', 390],
    ['dark', 390],
  ] as const)('can be used by everybody in the %s theme at %i pixels', async (colorScheme, width) => {
    const { id } = await demo.client.complete({ from: 1, to: 12, simulate: { failOn: [7], delayMs: 5 } });
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 800 });
    await page.goto(`${demo.client.url}/#${id}`);
    await page.locator('.bar.failed').waitFor();
    await page.getByRole('button', { name: 'Use it after its end' }).click();
    await page.getByText('SessionClosedError').waitFor();

    const [background, overflow] = await page.evaluate<[string, number]>(
      '[getComputedStyle(document.body).backgroundColor, document.documentElement.scrollWidth - innerWidth]',
    );
    expect(await findHindrances(page)).toEqual([]);
    expect(background).toBe(colorScheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(20, 23, 28)');
    expect(overflow).toBeLessThanOrEqual(0);
  });
});
