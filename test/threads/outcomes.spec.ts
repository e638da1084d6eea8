import { DriverException, UniqueConstraintViolationException } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import { HttpException } from '@nestjs/common';
import * as fc from 'fast-check';
import {
  isTransientError,
  type JobOptions,
  type JobOutcome,
  JobService,
  JobTimeoutError,
  SessionError,
  TransactionAbortedError,
} from 'nestjs-mikro-session';

import type { TestDatabase } from '../support/test-database.js';
import { FateChunkWorker, FateWorker, fates, type Input, type Result } from './app/fate.workers.js';
import { ThreadStage } from './support/thread-stage.js';

const classes = [
  TypeError,
  RangeError,
  AggregateError,
  HttpException,
  SessionError,
  JobTimeoutError,
  TransactionAbortedError,
  DriverException,
  UniqueConstraintViolationException,
];

/** Takes an error apart, so that two can be compared. Stacks begin alike, whatever called the worker. */
function takeApart(reason: unknown): unknown {
  if (!(reason instanceof Error)) {
    return Array.isArray(reason) ? reason.map(takeApart) : reason;
  }
  const { stack, ...properties } = Object.fromEntries(
    Object.getOwnPropertyNames(reason).map((name) => [name, (reason as unknown as Record<string, unknown>)[name]]),
  );
  return {
    name: reason.name,
    stack: String(stack).split('\n', 1),
    classes: classes.filter((one) => reason instanceof one).map(({ name }) => name),
    isTransient: isTransientError(reason),
    enumerable: Object.keys(reason).toSorted(),
    properties: Object.fromEntries(Object.entries(properties).map(([name, value]) => [name, takeApart(value)])),
  };
}

describe('jobs in threads', () => {
  let stage: ThreadStage;
  let database: TestDatabase;
  let jobs: JobService<EntityManager>;

  beforeAll(async () => {
    stage = await ThreadStage.set();
    ({ database, jobs } = stage);
    await database.query('create unique index on note (text)');
    await database.query(`
      create function refuse() returns trigger language plpgsql as $$
      begin
        if new.text like 'fails at commit%' then raise exception 'refused at commit' using errcode = '23514'; end if;
        return null;
      end $$`);
    await database.query(`
      create constraint trigger refuse after insert on note deferrable initially deferred
      for each row execute function refuse()`);
  }, 60_000);

  afterAll(() => stage.clear());

  interface End {
    readonly outcomes: readonly unknown[];
    readonly texts: readonly string[];
  }

  async function settle(
    worker: typeof FateWorker | typeof FateChunkWorker,
    inputs: readonly Input[],
    options: JobOptions,
  ): Promise<End> {
    await database.query('truncate note restart identity');
    await database.query(`insert into note (text) values ('taken')`);
    const outcomes: JobOutcome<Input, Result>[] = await jobs.settle(inputs, worker, options);
    const rows = await database.query<{ text: string }>('select text from note order by text');
    return {
      outcomes: outcomes.map((outcome) =>
        outcome.status === 'fulfilled' ? outcome : { ...outcome, reason: takeApart(outcome.reason) },
      ),
      texts: rows.map(({ text }) => text),
    };
  }

  it.each(fates)('end as without threads when one "%s"', async (fate) => {
    const inputs: Input[] = [
      { key: 0, fate: 'fine' },
      { key: 1, fate },
      { key: 2, fate: 'fine' },
    ];
    // Long enough for the first jobs of a thread on a busy machine. Only one fate waits for it.
    const options: JobOptions = { timeout: fate === 'sleeps too long' ? 1_000 : 20_000, label: 'the jobs' };

    const there = await settle(FateWorker, inputs, { ...options, threads: 2 });

    expect(there).toEqual(await settle(FateWorker, inputs, options));
    expect(there.outcomes).toMatchObject([{ status: 'fulfilled' }, {}, { status: 'fulfilled' }]);
  });

  it('end as without threads, whatever the inputs and options', async () => {
    const inputs = fc
      .array(fc.constantFrom(...fates.filter((fate) => fate !== 'sleeps too long')), { minLength: 1, maxLength: 12 })
      .map((chosen) => chosen.map((fate, key) => ({ key, fate })));
    const options = fc.record(
      {
        concurrency: fc.integer({ min: 1, max: 5 }),
        chunkSize: fc.integer({ min: 1, max: 4 }),
        retry: fc.record({ limit: fc.integer({ min: 1, max: 2 }), delay: fc.constant(0) }),
        timeout: fc.constant(20_000),
        transaction: fc.constantFrom('job' as const, { isolationLevel: 'serializable' as const }),
      },
      { requiredKeys: [] },
    );

    await fc.assert(
      fc.asyncProperty(
        inputs,
        options,
        fc.constantFrom(FateWorker, FateChunkWorker),
        fc.integer({ min: 1, max: 2 }),
        async (list, chosen, worker, threads) => {
          const there = await settle(worker, list, { ...chosen, threads });

          expect(there).toEqual(await settle(worker, list, chosen));
        },
      ),
      { numRuns: 60 },
    );
  }, 120_000);
});
