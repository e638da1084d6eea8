import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import type { EntityManager } from '@mikro-orm/postgresql';
import type { Page } from 'playwright-core';
import { InjectSession, JobService, SessionFactory } from 'nestjs-mikro-session';
import { SessionInspectorModule } from 'nestjs-mikro-session/inspector';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { outcomes } from '../../libs/session/src/inspector/page/format.js';
import { describeInBrowser, findHindrances } from '../support/browser.js';
import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    inspected: string;
  }
}

const MOST_BYTES = 60_000;
const POOL_SIZE = 5;
const QUEUE = 'inspected';
const schemes = ['light', 'dark'] as const;

@JobHandler({ queue: QUEUE, deadLetter: 'inspected-dead', retryLimit: 0, pollingIntervalSeconds: 0.5 })
class FailingHandler {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handle(input: string): Promise<void> {
    await this.session.count(Note);
    throw new Error(`${input} is not to be had`);
  }
}

describe('the files of the page', () => {
  it('are small, and ask no other host for anything', async () => {
    const folder = new URL('../../libs/session/page/', import.meta.url);
    const [script = '', style = ''] = await Promise.all(
      ['page.js', 'page.css'].map((file) => readFile(new URL(file, folder), 'utf8')),
    );

    const size = gzipSync(script).length + gzipSync(style).length;
    const hosts = [...`${script}${style}`.matchAll(/https?:\/\/[\w.-]+/g)].map(([host]) => host);

    expect(size).toBeLessThan(MOST_BYTES);
    // Names of XML, which nobody asks for.
    expect(hosts.filter((host) => host !== 'http://www.w3.org')).toEqual([]);
    expect(script).not.toMatch(/\beval\(|new Function/);
  });

  it('have a colour for each way in which a scope ends', async () => {
    const style = await readFile(new URL('../../libs/session/page/page.css', import.meta.url), 'utf8');

    const names = Object.keys(outcomes);

    expect(names).toContain('timeout');
    expect(names.filter((name) => !style.includes(`--${name}:`) || !style.includes(`.key.${name}{`))).toEqual([]);
  });
});

describeInBrowser('the page of the inspector', (browser) => {
  let database: TestDatabase;
  let app: TestApp;
  let page: Page;
  let factory: SessionFactory<EntityManager>;
  let jobs: JobService<EntityManager>;
  const foreign: string[] = [];
  const complaints: string[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      orm: { pool: { min: 0, max: POOL_SIZE } },
      session: { leakAfter: 60_000 },
      providers: [FailingHandler],
      imports: [JobQueueModule.forRoot(), SessionInspectorModule.forRoot({ actions: true, history: 300 })],
      configure: (made) => made.setGlobalPrefix('deep/down'),
    });
    factory = app.get(SessionFactory);
    jobs = app.get(JobService);
    page = await browser.current.newPage({ viewport: { width: 1280, height: 900 } });
    page.setDefaultTimeout(20_000);
    page.on('request', (request) => {
      if (!request.url().startsWith(app.url) && !request.url().startsWith('data:')) {
        foreign.push(request.url());
      }
    });
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') {
        complaints.push(message.text());
      }
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('dialog', (dialog) => void dialog.accept());
    await page.goto(`${app.url}/deep/down/sessions`);
    await page.getByText('Live', { exact: true }).waitFor();
  });

  afterAll(async () => {
    await page.close();
    await app.app.close();
    await database.drop();
  });

  /** Holds a connection until the returned function is called. */
  async function hold(label: string, options: object = {}): Promise<() => Promise<unknown>> {
    const begun = Promise.withResolvers<void>();
    const over = Promise.withResolvers<void>();
    const work = factory.begin(
      async (session) => {
        await session.count(Note);
        begun.resolve();
        await over.promise;
        return session.count(Note);
      },
      { label, ...options },
    );
    await begun.promise;
    return async () => {
      over.resolve();
      return (await Promise.allSettled([work]))[0];
    };
  }

  it('shows the pool with its plot, and who waits for a connection', async () => {
    const releases = await Promise.all(Array.from({ length: POOL_SIZE }, (_, index) => hold(`holder ${index}`)));
    const waiter = factory.begin(async (session) => session.count(Note), { label: 'waiter' });

    await page
      .getByRole('row', { name: /^waiter/ })
      .getByText(/^connection/)
      .waitFor();
    const pool = page.getByRole('article', { name: 'Pool' });
    await pool.getByText('5 of 5').waitFor();
    const facts = await pool.locator('.facts').innerText();
    const plots = await pool.locator('canvas').count();
    await Promise.all(releases.map((release) => release()));
    await waiter;

    expect(facts.replaceAll(/\s+/g, ' ')).toBe('Size 5 of 5 In use 5 Idle 0 Waiting 1');
    expect(plots).toBe(1);
  });

  it('shows texts of users as text, finds and sorts scopes, and shows no value', async () => {
    const markup = '<img src=x onerror="document.title=1"> & co';
    const locked = Promise.withResolvers<void>();
    const unlock = Promise.withResolvers<void>();
    const locker = factory.begin(async (session) => {
      await session.execute('lock table note');
      locked.resolve();
      await unlock.promise;
    });
    await locked.promise;
    const writer = factory.begin(
      async (session) => {
        session.create(Note, { text: 'a secret of mine' });
        await session.flush();
      },
      { label: markup, info: { tenant: '<b>acme</b>' } },
    );

    const scopes = page.locator('#scopes');
    await scopes.getByRole('row').filter({ hasText: '& co' }).locator('code').waitFor();
    await scopes.getByRole('searchbox').fill('acme insert');
    await scopes.getByRole('row').nth(2).waitFor({ state: 'detached' });
    await scopes.getByText('Details', { exact: true }).click();
    const text = await scopes.getByRole('row').nth(1).innerText();
    await scopes.getByRole('searchbox').fill('');
    await scopes.getByRole('button', { name: 'Scope' }).click();
    const sorted = await scopes.getByRole('columnheader', { name: 'Scope' }).getAttribute('aria-sort');
    unlock.resolve();
    await Promise.all([locker, writer]);

    expect(text).toContain(markup);
    expect(text).toContain('<b>acme</b>');
    expect(text).toContain('insert into "note" ("text", "tenant") values (?, ?)');
    expect(text).toContain('page.spec.ts');
    expect(sorted).toBe('ascending');
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.content()).not.toContain('a secret of mine');
  });

  it('ends a scope, and shows how it ended in the timeline', async () => {
    const release = await hold('endless');

    await page.getByRole('button', { name: 'End endless' }).click();
    await page.getByText('The scope was ended.').waitFor();
    const outcome = await release();
    await page.getByText('as a table').click();
    const row = page.locator('#timeline').getByRole('row', { name: /^endless/ });
    await row.waitFor();

    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'SESSION_CLOSED' } });
    expect(await row.innerText()).toContain('Aborted');
  });

  it('shows a run while it runs and its failures, and its jobs in lanes', async () => {
    const half = Promise.withResolvers<void>();
    const rest = Promise.withResolvers<void>();
    const run = jobs.settle(
      [...Array(40).keys()],
      async (session, n) => {
        await session.execute('select pg_sleep(0.01)');
        if (n === 20) {
          half.resolve();
          await rest.promise;
        }
        if (n % 10 === 5) {
          throw new Error(`no <i>${n}</i>`);
        }
      },
      { label: 'Squares', concurrency: 3 },
    );
    await half.promise;
    const card = page.getByRole('article', { name: 'Squares' });
    await card.getByText('running').waitFor();
    const isFollowed = await card.getByRole('progressbar').isVisible();
    rest.resolve();
    await run;
    await card.getByText('ended', { exact: true }).waitFor();
    await card.getByText('The latest failures').click();
    const text = (await card.innerText()).replaceAll(/\s+/g, ' ');
    await page.locator('canvas.timeline').focus();
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowLeft');
    const chosen = await page.getByRole('article', { name: 'Chosen scope' }).innerText();

    expect(isFollowed).toBe(true);
    expect(text).toContain('Done 36 Failed 4 Total 40');
    expect(text).toContain('job 35: no <i>35</i>');
    expect(chosen).toMatch(/job \d+ of Squares/);
    expect(chosen).toContain('In transaction');
  });

  it('shows the queues of pg-boss, with their dead letters', async () => {
    const queue = app.get<JobQueue<EntityManager>>(JobQueue);
    await queue.send(QUEUE, 'the moon');

    const row = page.locator('#queues').getByRole('row', { name: /^inspected-dead/ });
    await row.getByRole('cell').first().getByText('1').waitFor();

    expect(await page.locator('#queues').getByRole('row').nth(1).innerText()).toContain('inspected-dead');
    expect(await row.innerText()).toContain('dead letters');
    expect(await row.innerText()).toContain('0/s');
  });

  it('shows a deadlock of the pool with its holders, what to do, and the guide', async () => {
    const meeting = Promise.withResolvers<void>();
    let count = 0;
    const nest = (label: string): Promise<unknown> =>
      factory.begin(
        async (session) => {
          await session.count(Note);
          count += 1;
          if (count === POOL_SIZE) {
            meeting.resolve();
          }
          await meeting.promise;
          return factory.begin(async (inner) => inner.count(Note), { label: `within ${label}` });
        },
        { label },
      );

    await Promise.allSettled(Array.from({ length: POOL_SIZE }, (_, index) => nest(`knight ${index}`)));
    const entry = page.locator('#misuse li').first();
    await entry.getByText('SESSION_POOL_DEADLOCK').waitFor();
    const text = await entry.innerText();

    expect(text).toMatch(/are held by open transactions.*"knight \d"/s);
    expect(text).toContain('What to do:');
  });

  it('opens the guide at the section of a misuse', async () => {
    const kept = await factory.run(async (session) => session);
    await Promise.allSettled([kept.count(Note)]);

    const opening = page.waitForEvent('popup');
    await page
      .locator('#misuse')
      .getByRole('link', { name: /SESSION_CLOSED/ })
      .first()
      .click();
    const guide = await opening;
    guide.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    guide.on('pageerror', (error) => complaints.push(String(error)));
    await guide.waitForLoadState();

    const section = guide.locator(':target');
    const isThere = await section.innerText();
    const top = (await section.boundingBox())?.y;
    const hindrances: string[] = [];
    for (const colorScheme of schemes) {
      await guide.emulateMedia({ colorScheme });
      hindrances.push(...(await findHindrances(guide)));
    }
    await guide.setViewportSize({ width: 390, height: 900 });
    const isWide = await guide.evaluate('document.documentElement.scrollWidth > innerWidth');
    await keep(guide, 'guide');
    await guide.close();

    expect(isThere).toBe('SESSION_CLOSED');
    expect(top).toBeLessThan(100);
    expect(hindrances).toEqual([]);
    expect(isWide).toBe(false);
  });

  it('shows the time of a run in the timeline', async () => {
    await jobs.settle([1, 2], async (session) => session.count(Note), { label: 'Cubes' });
    const card = page.getByRole('article', { name: 'Cubes' });
    await page.getByRole('button', { name: 'All, and follow' }).click();

    await card.getByRole('link', { name: /^Show in the timeline/ }).click();
    const isFollowing = await page.getByRole('button', { name: 'All, and follow' }).getAttribute('aria-pressed');
    const top = (await page.locator('#timeline').boundingBox())?.y ?? -1;

    expect(isFollowing).toBe('false');
    expect(top).toBeGreaterThan(0);
    expect(top).toBeLessThan(200);
  });

  it('is used by the keyboard alone: each control is reached, and shows that it has the focus', async () => {
    const over = await hold('over');
    await over();
    await page.locator('canvas.timeline').waitFor();
    const release = await hold('at hand');
    await page
      .locator('#scopes')
      .getByRole('row', { name: /^at hand/ })
      .waitFor();
    await page.getByRole('button', { name: 'Pause' }).focus();
    await page.keyboard.press('Enter');
    const wanted = await page.evaluate<string[]>(NAME_CONTROLS);

    await page.locator('.skip').focus();
    const reached: Focus[] = [await page.evaluate<Focus>(DESCRIBE_FOCUS)];
    for (let presses = 1; presses < wanted.length; presses += 1) {
      await page.keyboard.press('Tab');
      reached.push(await page.evaluate<Focus>(DESCRIBE_FOCUS));
    }
    const back: Focus[] = [];
    for (let presses = 1; presses < wanted.length; presses += 1) {
      await page.keyboard.press('Shift+Tab');
      back.push(await page.evaluate<Focus>(DESCRIBE_FOCUS));
    }

    await page.getByRole('columnheader', { name: 'Kind' }).getByRole('button').focus();
    await page.keyboard.press('Space');
    const sorted = await page.getByRole('columnheader', { name: 'Kind' }).getAttribute('aria-sort');
    await page.locator('canvas.timeline').focus();
    await page.keyboard.press('0');
    const all = page.getByRole('button', { name: 'All, and follow' });
    const isFollowing = await all.getAttribute('aria-pressed');
    await page.keyboard.press('+');
    const isFollowingZoomed = await all.getAttribute('aria-pressed');
    await page.getByRole('button', { name: 'Go on' }).focus();
    await page.keyboard.press('Enter');
    await release();

    expect(wanted).toEqual(expect.arrayContaining(['Skip to the content', 'End at hand', 'Details']));
    expect(reached.map(({ name }) => name)).toEqual(wanted);
    expect(reached.filter(({ isShown }) => !isShown)).toEqual([]);
    expect(back.map(({ name }) => name)).toEqual(wanted.toReversed().slice(1));
    expect(back.filter(({ isCovered }) => isCovered)).toEqual([]);
    expect([sorted, isFollowing, isFollowingZoomed]).toEqual(['ascending', 'true', 'false']);
  });

  describe.each(schemes)('in a %s scheme', (colorScheme) => {
    it.each([1_280, 390])('is for everybody at %i pixels', async (width) => {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      const release = await hold('still here', { info: { tenant: 'acme' } });
      await page
        .locator('#scopes')
        .getByRole('row', { name: /^still here/ })
        .waitFor();

      const isWide = await page.evaluate('document.documentElement.scrollWidth > innerWidth');
      const hindrances = await findHindrances(page);
      await keep(page, `${colorScheme}-${width}`);
      await release();

      expect(isWide).toBe(false);
      expect(hindrances).toEqual([]);
    });
  });

  it('asks no other host, and breaks no rule of its own policy', () => {
    expect(foreign).toEqual([]);
    expect(complaints).toEqual([]);
  });
});

interface Focus {
  readonly name: string;
  readonly isShown: boolean;
  readonly isCovered: boolean;
}

const NAME_OF =
  "(element) => element.getAttribute('aria-label') ?? document.getElementById(element.getAttribute('aria-labelledby'))" +
  '?.innerText ?? element.labels?.[0]?.innerText ?? element.innerText';

/** Names all that can be used, in the order of the page. */
const NAME_CONTROLS = `[...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')]
  .filter((element) => element.checkVisibility()).map(${NAME_OF})`;

/** Says what has the focus, whether it looks so, and whether the header lies over it. */
const DESCRIBE_FOCUS = `(() => {
  const element = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(element);
  const header = document.querySelector('header');
  const isBelow = !header.contains(element) && !element.matches('.skip');
  return {
    name: (${NAME_OF})(element),
    isShown: outlineStyle === 'solid' && parseFloat(outlineWidth) >= 2,
    isCovered: isBelow && element.getBoundingClientRect().bottom <= header.getBoundingClientRect().bottom,
  };
})()`;

/** Keeps a picture for people, where they want one. */
async function keep(page: Page, name: string): Promise<void> {
  const folder = process.env['SCREENSHOTS'];
  if (folder !== undefined) {
    await mkdir(folder, { recursive: true });
    await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  }
}
