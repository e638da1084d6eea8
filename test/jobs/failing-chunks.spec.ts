import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { type JobChunkWorker, JobService } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

/** What an outcome with its error may take. An error that holds its session takes more than ten times as much. */
const MOST_BYTES = 4_000;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function countBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

const transient = (): Error => Object.assign(new Error('conflict'), { code: '40001' });

/** Fails with all of its inputs, and counts how often it is called. */
@Injectable()
class FailingWorker implements JobChunkWorker<number, void> {
  static calls: number[] = [];

  handleMany(inputs: readonly number[]): void[] {
    FailingWorker.calls.push(inputs.length);
    throw transient();
  }
}

describe('chunks that fail', () => {
  let jobs: JobService<EntityManager>;

  const { app } = useTestApp({ providers: [FailingWorker] });

  beforeAll(() => {
    jobs = app.get(JobService);
  });

  beforeEach(() => {
    FailingWorker.calls = [];
  });

  const numbers = (length: number): number[] => Array.from({ length }, (_, n) => n);

  it.each([500, 2_000])('run each of %d inputs once where every one fails', async (size) => {
    let calls = 0;
    const work = (): never => {
      calls += 1;
      throw new Error('broken');
    };

    const outcomes = await jobs.settle(numbers(size), work, { chunkSize: size });

    expect(outcomes.filter(({ status, attempts }) => status === 'rejected' && attempts === 1)).toHaveLength(size);
    expect(calls).toBe(size);
  });

  it('are halved down to each input where nobody knows which one fails, which takes less than two calls for each', async () => {
    const size = 1_024;

    const outcomes = await jobs.settle(numbers(size), FailingWorker, { chunkSize: size });

    expect(outcomes.filter(({ status, attempts }) => status === 'rejected' && attempts === 1)).toHaveLength(size);
    expect(FailingWorker.calls).toHaveLength(2 * size - 1);
  });

  it('hold no more for each input when there are many of them', async () => {
    const readAt = async (size: number): Promise<number> => {
      const before = countBytes();
      let held = 0;
      const work = async (session: EntityManager, n: number): Promise<void> => {
        session.create(Note, { text: `${n}` });
        if (n === size - 1) {
          held = countBytes() - before;
        }
        throw new Error('broken');
      };
      const outcomes = await jobs.settle(numbers(size), work, { chunkSize: size });
      const kept = countBytes() - before;
      expect(outcomes).toHaveLength(size);
      return Math.max(held, kept) / size;
    };
    // Loads what is loaded once.
    await readAt(300);

    const few = await readAt(500);
    const many = await readAt(3_000);

    expect(few).toBeLessThan(MOST_BYTES);
    expect(many).toBeLessThan(MOST_BYTES);
  });

  it('tell the attempts that were made when they are aborted between two', async () => {
    const cancel = new AbortController();
    let calls = 0;
    const when = (): boolean => {
      // While it waits for its next attempt.
      setImmediate(() => cancel.abort(new Error('enough')));
      return true;
    };
    const work = (_session: EntityManager, n: number): void => {
      calls += 1;
      if (n === 2) {
        throw transient();
      }
    };
    const options = { chunkSize: 4, concurrency: 1, signal: cancel.signal, retry: { delay: 60_000, when } };

    const outcomes = await jobs.settle([0, 1, 2, 3, 4], work, options);

    expect(calls).toBe(3);
    // The last one is of a chunk that has not begun.
    expect(outcomes.map(({ attempts }) => attempts)).toEqual([1, 1, 1, 1, 0]);
  });

  it('tell them too where nobody knows which input failed', async () => {
    const cancel = new AbortController();
    let left = 2;
    const when = (): boolean => {
      left -= 1;
      if (left === 0) {
        setImmediate(() => cancel.abort(new Error('enough')));
      }
      return true;
    };
    // After its second attempt it waits for long.
    const retry = { delay: 1, backoff: 30_000, jitter: 0, when };

    const outcomes = await jobs.settle([0, 1, 2], FailingWorker, {
      chunkSize: 2,
      concurrency: 1,
      signal: cancel.signal,
      retry,
    });

    expect(FailingWorker.calls).toEqual([2, 2]);
    expect(outcomes.map(({ attempts }) => attempts)).toEqual([2, 2, 0]);
    expect(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.ending)).toEqual([
      'aborted',
      'aborted',
      'aborted',
    ]);
  });
});
