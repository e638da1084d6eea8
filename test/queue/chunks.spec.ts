import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type Type } from '@nestjs/common';
import * as fc from 'fast-check';
import { InjectSession, type JobChunkWorker, type JobWorker } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { poll } from '../support/poll.js';
import { useTestApp } from '../support/use-test-app.js';
import { Hold, untilHeld } from './support/hold.js';
import { HOLD } from './support/worker-app/effect-handler.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    alone: Piece;
    chunked: Piece;
    'many-at-once': Piece;
  }
}

const fates = ['fine', 'throws', 'throws after its flush', 'is refused', 'fails at commit', 'swallows'] as const;

interface Piece {
  readonly key: number;
  readonly fate: (typeof fates)[number] | 'waits';
}

/** Writes a note, or fails in one of the ways there are. */
async function write(session: EntityManager, { key, fate }: Piece): Promise<string> {
  if (fate === 'throws') {
    throw new RangeError(`told to fail on ${key}`);
  }
  session.create(Note, { text: `${key} ${fate}` });
  switch (fate) {
    case 'swallows':
      await session.execute('select 1 / 0').catch(() => undefined);
      break;
    case 'throws after its flush':
      await session.flush();
      throw new Error(`told to fail late on ${key}`);
    case 'waits':
      await session.execute('select pg_advisory_xact_lock_shared(?)', [HOLD]);
      break;
    case 'fails at commit':
    case 'fine':
    case 'is refused':
      break;
  }
  return `wrote ${key}`;
}

@Injectable()
class EachHandler implements JobWorker<Piece, string> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  handle(piece: Piece): Promise<string> {
    return write(this.session, piece);
  }
}

@Injectable()
@JobHandler({ queue: 'alone', retryLimit: 0 })
class AloneHandler extends EachHandler {}

@Injectable()
@JobHandler({ queue: 'chunked', retryLimit: 0, chunkSize: 7 })
class ChunkedHandler extends EachHandler {}

@Injectable()
@JobHandler({ queue: 'many-at-once', retryLimit: 0, chunkSize: 7 })
class ManyHandler implements JobChunkWorker<Piece, string> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handleMany(pieces: readonly Piece[]): Promise<string[]> {
    const values: string[] = [];
    for (const piece of pieces) {
      values.push(await write(this.session, piece));
    }
    return values;
  }
}

/** Leaves out the id of a row. */
function stripMessage(message: string | undefined): string | undefined {
  return message?.replace(/row contains \(\d+/, 'row contains (id');
}

type PieceQueue = 'alone' | 'chunked' | 'many-at-once';

interface Ended {
  readonly key: number;
  readonly state: string;
  readonly output: unknown;
}

describe('jobs of a queue in chunks', () => {
  let queue: JobQueue;

  const { app, database } = useTestApp({
    imports: [JobQueueModule.forRoot()],
    providers: [AloneHandler, ChunkedHandler, ManyHandler] satisfies Type[],
  });

  beforeAll(async () => {
    queue = app.get(JobQueue);
    await database.query(`
      alter table note add constraint accepted check (text not like '%is refused');
      create function refuse() returns trigger language plpgsql as $$ begin raise 'refused at commit'; end $$;
      create constraint trigger at_commit after insert on note deferrable initially deferred
        for each row when (new.text like '%fails at commit') execute function refuse()`);
  });

  afterEach(async () => {
    await database.query('delete from pgboss.job');
    await database.query('delete from note');
  });

  const findNotes = async (): Promise<string[]> =>
    (await database.query<{ text: string }>('select text from note order by text')).map(({ text }) => text);

  const untilEnded = (count: number): Promise<void> =>
    database.until(`select count(*) = $1 from pgboss.job where state > 'active'`, [count]);

  /** What became of each job: its output, or the message of its error. */
  async function findEnds(): Promise<Ended[]> {
    const rows = await database.query<{ key: number; state: string; output: { readonly message?: string } | null }>(
      `select (data -> 'input' -> 'key')::int as key, state, output from pgboss.job order by 1`,
    );
    return rows.map(({ key, state, output }) => ({ key, state, output: stripMessage(output?.message) ?? output }));
  }

  async function run(name: PieceQueue, pieces: readonly Piece[]): Promise<{ ends: Ended[]; notes: string[] }> {
    const count = await queue.sendMany(name, pieces);
    await untilEnded(count);
    const result = { ends: await findEnds(), notes: await findNotes() };
    await database.query('delete from pgboss.job');
    await database.query('delete from note');
    return result;
  }

  it('end as one by one, whichever fail and however', async () => {
    using _log = new CapturedLog();
    const fate = fc.oneof(fc.constant('fine' as const), fc.constantFrom(...fates));

    await fc.assert(
      fc.asyncProperty(
        fc.array(fate, { minLength: 1, maxLength: 16 }),
        fc.constantFrom('chunked' as const, 'many-at-once' as const),
        async (list, name) => {
          const pieces = list.map((fate, key) => ({ key, fate }));

          const alone = await run('alone', pieces);
          const chunked = await run(name, pieces);

          expect(chunked).toEqual(alone);
          expect(alone.notes).toEqual(
            pieces
              .filter(({ fate }) => fate === 'fine')
              .map(({ key }) => `${key} fine`)
              .toSorted((a, b) => (a < b ? -1 : 1)),
          );
        },
      ),
      { numRuns: 30 },
    );
  }, 120_000);

  it.each(['chunked', 'many-at-once'] as const)(
    'lose the one that was cancelled meanwhile, and no other: %s',
    async (name) => {
      using log = new CapturedLog();
      await using hold = await Hold.take(database.url);
      await queue.sendMany(
        name,
        [0, 1, 2, 3, 4].map((key) => ({ key, fate: 'waits' })),
      );
      await untilHeld(database);
      await database.until(`select count(*) = 5 from pgboss.job where state = 'active'`);
      const [job] = await database.query<{ id: string }>(
        `select id from pgboss.job where data -> 'input' ->> 'key' = '3'`,
      );

      await queue.cancel(name, job?.id ?? '');
      await hold.release();

      await untilEnded(5);
      expect(await findEnds()).toEqual([
        { key: 0, state: 'completed', output: { value: 'wrote 0' } },
        { key: 1, state: 'completed', output: { value: 'wrote 1' } },
        { key: 2, state: 'completed', output: { value: 'wrote 2' } },
        { key: 3, state: 'cancelled', output: null },
        { key: 4, state: 'completed', output: { value: 'wrote 4' } },
      ]);
      expect(await findNotes()).toEqual(['0 waits', '1 waits', '2 waits', '4 waits']);
      // It may be the last of its chunk to be run again, alone, when all the others have ended.
      await poll('the warning', async () => log.warnings.length > 0);
      expect(log.warnings).toEqual([
        expect.stringContaining(`The work on job ${job?.id} of queue "${name}" was rolled back`),
      ]);
    },
  );

  it('take as few transactions as there can be', async () => {
    await queue.sendMany(
      'chunked',
      Array.from({ length: 70 }, (_, key) => ({ key, fate: 'fine' })),
    );

    await untilEnded(70);
    const [row] = await database.query<{ count: number }>('select count(distinct xmin::text)::int as count from note');
    // A fetch may find fewer than a full chunk, where lanes compete.
    expect(row?.count).toBeLessThan(20);
  });
});
