import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type DemoApp, startDemo } from './support/demo-app.js';

const JSON_TYPE = { 'content-type': 'application/json' };

describe('the security headers', () => {
  let database: TestDatabase;
  let demo: DemoApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    demo = await startDemo(database.url);
  });

  afterAll(async () => {
    await demo.close();
    await database.drop();
  });

  async function ask(path: string, init?: RequestInit): Promise<{ status: number; headers: Headers; text: string }> {
    const response = await fetch(demo.client.url + path, init);
    return { status: response.status, headers: response.headers, text: await response.text() };
  }

  const policyOf = (headers: Headers): ReadonlyMap<string, string> =>
    new Map(
      (headers.get('content-security-policy') ?? '')
        .split(';')
        .map((directive) => [directive.replace(/ .*$/, ''), directive.replace(/^\S+ /, '')]),
    );

  it.each<[what: string, status: number, path: string, init: RequestInit]>([
    ['a list', 200, '/jobs', {}],
    ['the health', 200, '/health', {}],
    ['the OpenAPI description', 200, '/docs-json', {}],
    ['a run that was accepted', 202, '/jobs', { method: 'POST', headers: JSON_TYPE, body: '{ "numbers": [12] }' }],
    ['a request that is not right', 400, '/jobs', { method: 'POST', headers: JSON_TYPE, body: '{}' }],
    ['a body that is no JSON', 400, '/jobs', { method: 'POST', headers: JSON_TYPE, body: '{' }],
    ['a body that is too large', 413, '/jobs', { method: 'POST', headers: JSON_TYPE, body: ' '.repeat(3_000_000) }],
    ['a path that does not exist', 404, '/nowhere', {}],
    ['a run that does not exist', 404, '/jobs/00000000-0000-4000-8000-000000000000', {}],
    ['the events of a run that does not exist', 404, '/jobs/00000000-0000-4000-8000-000000000000/events', {}],
    ['a method that is not there', 404, '/jobs', { method: 'PATCH' }],
  ])('are on %s', async (_what, status, path, init) => {
    const answer = await ask(path, init);

    expect(answer.status).toBe(status);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
    });
    expect(policyOf(answer.headers).get('default-src')).toBe(`'none'`);
    expect(policyOf(answer.headers).get('frame-ancestors')).toBe(`'none'`);
    expect(answer.headers.get('x-powered-by')).toBeNull();
  });

  it('are on the events of a run', async () => {
    const run = await demo.client.complete({ numbers: [12] });

    const { status, headers } = await ask(`/jobs/${run.id}/events`);

    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('text/event-stream');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });

  it.each(['/', '/?from=here', '/index.html'])(
    'let the page at %s load scripts and styles of this server, and have none within',
    async (path) => {
      const { status, headers, text } = await ask(path);

      expect(status).toBe(200);
      expect(headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(Object.fromEntries(policyOf(headers))).toEqual({
        'default-src': `'none'`,
        'script-src': `'self'`,
        'style-src': `'self'`,
        'img-src': `'self'`,
        'connect-src': `'self'`,
        'base-uri': `'none'`,
        'form-action': `'none'`,
        'frame-ancestors': `'none'`,
      });
      expect(text).not.toMatch(/<script(?![^>]*src=)|<style|\s(?:on\w+|style)=|https?:/);
    },
  );

  it.each(['/docs', '/docs/', '/DOCS'])(
    'let the documentation at %s load what it needs, and nothing else',
    async (path) => {
      const { status, headers, text } = await ask(path);
      const policy = policyOf(headers);

      const urls = [...text.matchAll(/<(?:script|link)[^>]*(?:src|href)=["']([^"']+)["']/g)].map(
        ([, url]) => url ?? '',
      );
      const inlineScripts = text.match(/<script(?![^>]*src=)[^>]*>|\son\w+=/g);

      expect(status).toBe(200);
      expect(policy.get('default-src')).toBe(`'none'`);
      expect(policy.get('script-src')).toBe(`'self'`);
      expect(policy.get('style-src')).toContain(`'self'`);
      expect(policy.get('connect-src')).toBe(`'self'`);
      expect(policy.get('frame-ancestors')).toBe(`'none'`);
      // No certificate is needed to read it over plain HTTP from another machine.
      expect(policy.has('upgrade-insecure-requests')).toBe(false);
      expect(inlineScripts).toBeNull();
      expect(urls.length).toBeGreaterThan(3);
      const assets = await Promise.all(urls.map((url) => fetch(new URL(url, demo.client.url + path))));
      expect(assets.map(({ status: found, url }) => [new URL(url).origin, found])).toEqual(
        urls.map(() => [demo.client.url, 200]),
      );
      await Promise.all(assets.map((asset) => asset.arrayBuffer()));
    },
  );
});

describe('the page of a demo without the inspector', () => {
  let database: TestDatabase;
  let demo: DemoApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    demo = await startDemo(database.url, { inspector: false });
  });

  afterAll(async () => {
    await demo.close();
    await database.drop();
  });

  it.each(['/', '/index.html', '/?'])('has no link to it at %s, and its other links', async (path) => {
    const response = await fetch(demo.client.url + path);
    const html = await response.text();

    expect(response.headers.get('content-type')).toContain('text/html');
    expect([...html.matchAll(/<a href="(\w+)"/g)].map(([, link]) => link)).toEqual(['docs', 'health', 'docs']);
  });

  it('does not serve it', async () => {
    const response = await fetch(`${demo.client.url}/sessions`);

    expect(response.status).toBe(404);
  });
});
