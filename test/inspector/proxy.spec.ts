import { once } from 'node:events';
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { EntityManager } from '@mikro-orm/postgresql';
import { SessionFactory } from 'nestjs-mikro-session';
import { SessionInspectorModule } from 'nestjs-mikro-session/inspector';

import { describeInBrowser } from '../support/browser.js';
import { platforms, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const PREFIX = '/tools/of/acme';

/** Passes what is below a path on to a server, which knows nothing of that path. Everything else is 404. */
async function startProxy(target: string): Promise<Server> {
  const { port } = new URL(target);
  const proxy = createServer((request, response) => {
    if (!request.url?.startsWith(`${PREFIX}/`)) {
      response.writeHead(404).end();
      return;
    }
    const forwarded = { ...request.headers, 'x-forwarded-for': '192.0.2.1', 'x-forwarded-prefix': PREFIX };
    const passed = httpRequest(
      { port, host: '127.0.0.1', path: request.url.slice(PREFIX.length), method: request.method, headers: forwarded },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    passed.on('error', () => response.destroy());
    response.on('close', () => passed.destroy());
    request.pipe(passed);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return proxy;
}

describeInBrowser('the page behind a proxy', (browser) => {
  describe.each(platforms)('over %s', (platform) => {
    let database: TestDatabase;
    let app: TestApp;
    let proxy: Server;

    beforeAll(async () => {
      database = await createTestDatabase();
      app = await startTestApp({
        databaseUrl: database.url,
        platform,
        imports: [SessionInspectorModule.forRoot({ actions: true, authorize: () => true })],
        configure: (made) => made.setGlobalPrefix('api'),
      });
      proxy = await startProxy(app.url);
    });

    afterAll(async () => {
      proxy.close();
      proxy.closeAllConnections();
      await app.close();
      await database.drop();
    });

    it.each(['sessions', 'sessions/index.html'])('follows, acts and leads to the guide: %s', async (place) => {
      const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
      const page = await browser.current.newPage();
      const missed: string[] = [];
      page.on('response', (response) => {
        if (response.status() >= 400) {
          missed.push(response.url());
        }
      });
      page.on('dialog', (dialog) => void dialog.accept());
      const { port } = proxy.address() as AddressInfo;
      await page.goto(`http://127.0.0.1:${port}${PREFIX}/api/${place}`);
      await page.getByText('Live', { exact: true }).waitFor();

      const endless = Promise.withResolvers<void>();
      const running = factory.begin(() => endless.promise, { label: 'endless' });
      running.catch(() => undefined);
      await page.getByRole('button', { name: 'End endless' }).click();
      await page.getByText('The last 50 as a table').click();
      await page
        .locator('#timeline')
        .getByRole('row', { name: /^endless/ })
        .first()
        .waitFor();
      endless.resolve();
      await expect(running).rejects.toThrow('it had been aborted');
      await page.goto(new URL('troubleshooting.html', page.url().replace(/sessions$/, 'sessions/')).href);
      const guide = await page.getByRole('heading', { level: 1 }).innerText();
      await page.close();

      expect(guide).toBe('Troubleshooting');
      expect(missed).toEqual([]);
    });
  });
});
