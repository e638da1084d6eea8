import { rm } from 'node:fs/promises';

import type { EntityManager } from '@mikro-orm/postgresql';
import { SessionTesting } from 'nestjs-mikro-session/testing';

import { Run } from '../../src/runs/run.entity.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { compileDemo } from './support/compile-demo.js';
import { type DemoApp, startDemo } from './support/demo-app.js';
import { DemoProcess } from './support/demo-process.js';
import type { JobsClient } from './support/jobs-client.js';

const INTEGER = 'expected an integer from 1 to 9007199254740991, got';
const LARGEST = Number.MAX_SAFE_INTEGER;
const tooMany = Array<number>(100_001).fill(1);

describe('the check of a request', () => {
  let database: TestDatabase;
  let demo: DemoApp;
  let client: JobsClient;
  let testing: SessionTesting<EntityManager>;

  beforeAll(async () => {
    database = await createTestDatabase();
    demo = await startDemo(database.url, { work: false });
    client = demo.client;
    testing = await SessionTesting.create<EntityManager>(demo.app);
  });

  afterAll(async () => {
    await demo.close();
    await database.drop();
  });

  beforeEach(() => testing.begin());

  afterEach(async () => {
    const stored = await testing.run((session) => session.count(Run));
    await testing.rollBack();
    if (stored > 0) {
      throw new Error(`A request that was refused left ${stored} runs in the database`);
    }
  });

  const NEITHER = 'missing: give either `numbers`, or `from` and `to`';
  const BOTH = 'give either `numbers`, or `from` and `to`, not both';

  it.each<[what: string, body: unknown, field: string, reason: string]>([
    ['neither form', {}, 'numbers', NEITHER],
    ['both forms', { numbers: [1], from: 1, to: 2 }, 'numbers', BOTH],
    ['a list and an end', { numbers: [1], to: 2 }, 'numbers', BOTH],
    ['no list', { numbers: '12' }, 'numbers', `expected a list of integers, got '12'`],
    ['null', { numbers: null }, 'numbers', 'expected a list of integers, got null'],
    ['an empty list', { numbers: [] }, 'numbers', 'expected 1 to 100000 numbers, got 0'],
    ['a list too long', { numbers: tooMany }, 'numbers', 'expected 1 to 100000 numbers, got 100001'],
    ['a fraction', { numbers: [1, 2, 3, 1.5] }, 'numbers[3]', `${INTEGER} 1.5`],
    ['a text', { numbers: ['12'] }, 'numbers[0]', `${INTEGER} '12'`],
    ['zero', { numbers: [0] }, 'numbers[0]', `${INTEGER} 0`],
    ['a negative number', { numbers: [-1] }, 'numbers[0]', `${INTEGER} -1`],
    ['a number too large', { numbers: [2 ** 53] }, 'numbers[0]', `${INTEGER} 9007199254740992`],
    ['a range without end', { from: 5 }, 'to', `${INTEGER} nothing`],
    ['a range without start', { to: 5 }, 'from', `${INTEGER} nothing`],
    ['a range that starts at a text', { from: '1', to: 5 }, 'from', `${INTEGER} '1'`],
    ['a range that starts at zero', { from: 0, to: 5 }, 'from', `${INTEGER} 0`],
    ['a range that ends too far', { from: LARGEST, to: LARGEST + 1 }, 'to', `${INTEGER} 9007199254740992`],
    ['a range backwards', { from: 5, to: 4 }, 'to', 'expected `from` (5) or above, got 4'],
    ['a range too long', { from: 1, to: 100_001 }, 'to', 'expected a range of at most 100000 numbers, got 100001'],
    [
      'a concurrency too low',
      { numbers: [1], concurrency: 0 },
      'concurrency',
      'expected an integer from 1 to 32, got 0',
    ],
    [
      'a concurrency too high',
      { numbers: [1], concurrency: 33 },
      'concurrency',
      'expected an integer from 1 to 32, got 33',
    ],
    [
      'a concurrency of null',
      { numbers: [1], concurrency: null },
      'concurrency',
      'expected an integer from 1 to 32, got null',
    ],
    ['an unknown engine', { numbers: [1], engine: 'steam' }, 'engine', `expected 'process' or 'queue', got 'steam'`],
    ['an engine of null', { numbers: [1], engine: null }, 'engine', `expected 'process' or 'queue', got null`],
    ['an unknown field', { numbers: [1], numbrs: [2] }, 'numbrs', 'there is no such field'],
    ['an unknown field within', { numbers: [1], simulate: { delay: 5 } }, 'simulate.delay', 'there is no such field'],
    ['a simulation of null', { numbers: [1], simulate: null }, 'simulate', 'expected an object'],
    ['a simulation that is a list', { numbers: [1], simulate: [] }, 'simulate', 'expected an object'],
    [
      'a negative delay',
      { numbers: [1], simulate: { delayMs: -1 } },
      'simulate.delayMs',
      'expected an integer from 0 to 10000, got -1',
    ],
    [
      'a huge delay',
      { numbers: [1], simulate: { delayMs: 10_001 } },
      'simulate.delayMs',
      'expected an integer from 0 to 10000, got 10001',
    ],
    [
      'no list to fail on',
      { numbers: [1], simulate: { failOn: 1 } },
      'simulate.failOn',
      'expected a list of at most 100000 integers',
    ],
    ['a fraction to fail on', { numbers: [1], simulate: { failOn: [1.5] } }, 'simulate.failOn[0]', `${INTEGER} 1.5`],
  ])('refuses %s, with the field and the reason', async (_what, request, field, reason) => {
    const { status, body } = await client.start<unknown>(request);

    expect(status).toBe(400);
    expect(body).toEqual({
      statusCode: 400,
      error: 'Bad Request',
      message: 'The request is invalid: see `details`.',
      details: [{ field, reason }],
    });
  });

  it.each([
    ['constructor', '{ "numbers": [1], "constructor": 1 }'],
    ['toString', '{ "numbers": [1], "toString": 1 }'],
    ['__proto__', '{ "numbers": [1], "__proto__": { "numbers": [2] } }'],
    ['simulate.hasOwnProperty', '{ "numbers": [1], "simulate": { "hasOwnProperty": 1 } }'],
  ])('refuses an unknown field that every object has: %s', async (field, request) => {
    const { status, body } = await client.start<unknown>(request);

    expect(status).toBe(400);
    expect(body).toMatchObject({ details: [{ field, reason: 'there is no such field' }] });
  });

  it.each([
    ['numbers[0][0][0][0][0][0][0]', `{ "numbers": ${'['.repeat(100_000)}${']'.repeat(100_000)} }`],
    ['a.a.a.a.a.a.a.a', `${'{ "a": '.repeat(100_000)}1${' }'.repeat(100_000)}`],
  ])('refuses what is nested too deep: %s', async (field, request) => {
    const { status, body } = await client.start<unknown>(request);

    expect(status).toBe(400);
    expect(body).toMatchObject({
      details: [{ field, reason: 'expected no more than 8 levels of lists and objects' }],
    });
  });

  it('names no more than the first ten of many wrong numbers', async () => {
    const request = { numbers: Array<number>(100_000).fill(0.5) };

    const { status, body } = await client.start<{ details: { field: string }[] }>(request);

    expect(status).toBe(400);
    expect(body.details.map(({ field }) => field)).toEqual(
      Array.from({ length: 10 }, (_, index) => `numbers[${index}]`),
    );
  });

  it.each([
    ['broken JSON', '{ "numbers": [1,', 'body', expect.stringContaining('expected JSON: ')],
    ['JSON that is a list', '[1]', 'body', 'expected a JSON object, got a list'],
    ['JSON that is a text', '"12"', 'body', expect.stringContaining('expected JSON: ')],
  ])('refuses %s', async (_what, request, field, reason) => {
    const { status, body } = await client.start<unknown>(request);

    expect(status).toBe(400);
    expect(body).toMatchObject({ details: [{ field, reason }] });
  });

  it.each([
    ['nothing', '', 400, 'Bad Request'],
    ['a body over the limit', JSON.stringify({ numbers: Array<number>(200_000).fill(1e12) }), 413, 'Payload Too Large'],
  ])('refuses %s', async (_what, request, statusCode, error) => {
    const { status, body } = await client.start<unknown>(request);

    expect(status).toBe(statusCode);
    expect(body).toEqual({ statusCode, error, message: expect.any(String), details: expect.any(Array) });
  });

  it.each(['application/x-www-form-urlencoded', 'text/plain', 'application/xml'])(
    'refuses a body of another type: %s',
    async (type) => {
      const { status, body } = await client.send('/jobs', {
        method: 'POST',
        headers: { 'content-type': type },
        body: '{ "numbers": [12] }',
      });

      expect(status).toBe(400);
      expect(body.details).toEqual([{ field: 'content-type', reason: `expected 'application/json', got '${type}'` }]);
    },
  );

  it.each([
    ['/jobs?offset=-1', 'offset', 'expected an integer from 0 to 1000000000, got -1'],
    ['/jobs?offset=1.5', 'offset', `expected an integer from 0 to 1000000000, got '1.5'`],
    ['/jobs?offset=1e30', 'offset', `expected an integer from 0 to 1000000000, got '1e30'`],
    ['/jobs?limit=0', 'limit', 'expected an integer from 1 to 1000, got 0'],
    ['/jobs?limit=1001', 'limit', 'expected an integer from 1 to 1000, got 1001'],
    ['/jobs?limit=ten', 'limit', `expected an integer from 1 to 1000, got 'ten'`],
    ['/jobs?limit=', 'limit', `expected an integer from 1 to 1000, got ''`],
    ['/jobs?limit=1&limit=2', 'limit', `expected an integer from 1 to 1000, got [ '1', '2' ]`],
    ['/jobs?page=1', 'page', 'there is no such field'],
    ['/jobs?constructor=1', 'constructor', 'there is no such field'],
    ['/jobs?__proto__=1', '__proto__', 'there is no such field'],
    [
      '/jobs/00000000-0000-4000-8000-000000000000/results?limit=x',
      'limit',
      `expected an integer from 1 to 1000, got 'x'`,
    ],
    ['/jobs/12', 'id', 'expected a UUID'],
    ['/jobs/12/results', 'id', 'expected a UUID'],
    ['/jobs/12/events', 'id', 'expected a UUID'],
  ])('refuses %s', async (path, field, reason) => {
    const { status, body } = await client.send(path);

    expect(status).toBe(400);
    expect(body.details).toEqual([{ field, reason }]);
  });
});

describe('the limits of a request', () => {
  let folder: string;
  let database: TestDatabase;
  let demo: DemoProcess;
  let client: JobsClient;

  beforeAll(async () => {
    // Large numbers run in threads, which need compiled files.
    folder = await compileDemo();
    database = await createTestDatabase();
    demo = new DemoProcess(folder, { DATABASE_URL: database.url });
    client = await demo.listening();
  });

  afterAll(async () => {
    demo.kill('SIGTERM');
    await demo.ended();
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  it.each<[what: string, body: unknown, total: number]>([
    ['as many numbers of as many digits as are allowed', { numbers: Array<number>(100_000).fill(LARGEST) }, 100_000],
    ['the longest range', { from: 1, to: 100_000 }, 100_000],
    ['a range of one', { from: LARGEST, to: LARGEST }, 1],
  ])('let %s pass', async (_what, request, total) => {
    const { status, body } = await client.start(request);
    await client.cancel<unknown>(body.id);

    expect(status).toBe(202);
    expect(body.total).toBe(total);
  });
});
