import { Readable } from 'node:stream';

import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, StreamableFile } from '@nestjs/common';
import { InjectSession, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';

import type { NetworkLink } from '../support/network-link.js';
import { NetworkProxy } from '../support/network-proxy.js';
import { Note } from '../support/note.entity.js';
import { poll } from '../support/poll.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

@Controller()
class RowsController {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @Get('rows')
  rows(): StreamableFile {
    return new StreamableFile(Readable.from(this.#texts()));
  }

  async *#texts(): AsyncIterable<string> {
    for await (const { text } of this.session.stream(Note)) {
      yield text;
    }
  }
}

describe('a stream whose connection breaks', () => {
  let database: TestDatabase;
  let network: NetworkProxy;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    network = await NetworkProxy.start(database.url);
    app = await startTestApp({ databaseUrl: network.url, controllers: [RowsController] });
    await database.query(`insert into note (text) select repeat('row', 100) from generate_series(1, 5000)`);
  });

  afterEach(() => network.heal());

  afterAll(async () => {
    await app.close();
    await network.close();
    await database.drop();
  });

  const scopes = (): unknown[] => app.get<SessionRegistry>(SessionRegistry).list();
  const ended = (): Promise<void> => poll('no scope lives', async () => scopes().length === 0);

  /** The connection that the next stream is read through. */
  const nextLink = (): Promise<NetworkLink> => network.once('statement', /from "note"/);

  const faults: Record<string, (link: NetworkLink) => void> = {
    'is cut': (link) => link.cut(),
    'is half-closed': (link) => link.halfClose(),
    'is cut in the middle of a message': (link) => {
      link.passHalf();
      link.cut();
    },
  };

  it('ends a response whose client leaves in a black hole', async () => {
    const leaving = new AbortController();
    const swallowed = network.once('statement', /from "note"/, (link) => link.swallow());
    const response = fetch(`${app.url}/rows`, { signal: leaving.signal })
      .then(({ text }) => text())
      .catch(() => undefined);
    await swallowed;
    leaving.abort();
    await response;

    await ended();
    expect(scopes()).toEqual([]);
  });

  describe.each(Object.entries(faults))('because it %s', (_name, fail) => {
    it.each(['run', 'begin'] as const)('ends with the last row on its way, in SessionFactory.%s()', async (kind) => {
      const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
      // The rows have come, and the server has said that there are no more. What it says to the end of the cursor is lost.
      const lost = network.once('answer', /from "note"/, fail);

      const reading = factory[kind]((session) => Array.fromAsync(session.stream(Note)));

      await lost;
      const outcome = await reading.then(
        ({ length }) => length,
        () => 'failed',
      );
      expect([5_000, 'failed']).toContain(outcome);
      await ended();
      expect(scopes()).toEqual([]);
    });

    it.each(['run', 'begin'] as const)('ends, and its scope with it, in SessionFactory.%s()', async (kind) => {
      const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
      const link = nextLink();

      const reading = factory[kind](async (session) => {
        let rows = 0;
        for await (const _row of session.stream(Note)) {
          rows += 1;
          if (rows === 150) {
            fail(await link);
          }
        }
      });

      await expect(reading).rejects.toThrow(/lost|terminated|ECONNRESET/);
      await ended();
      expect(scopes()).toEqual([]);
    });

    it('ends with a statement of its reader on its way, in a transaction', async () => {
      const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
      const failed = network.once('statement', /^select 7/, fail);

      const reading = factory.begin(async (session) => {
        for await (const _row of session.stream(Note)) {
          await session.execute('select 7');
        }
      });

      await expect(reading).rejects.toThrow(/lost|terminated|ECONNRESET/);
      await failed;
      await ended();
      expect(scopes()).toEqual([]);
    });

    it.each(['reads on', 'has stopped to read'])('ends a streamed response whose client %s', async (what) => {
      const link = nextLink();
      const { body } = await fetch(`${app.url}/rows`);
      const reader = body!.getReader();
      await reader.read();
      fail(await link);

      const read = async (): Promise<void> => {
        for (let next = await reader.read(); !next.done; next = await reader.read()) {}
      };
      await (what === 'reads on' ? read() : reader.cancel()).catch(() => undefined);

      await ended();
      expect(scopes()).toEqual([]);
    });

    it('ends when nobody reads on', async () => {
      const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
      const link = nextLink();

      await factory.run(async (session) => {
        const rows = session.stream(Note)[Symbol.asyncIterator]();
        await rows.next();
        fail(await link);
      });

      expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
    });
  });
});
