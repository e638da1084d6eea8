import { get } from 'node:http';

import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, Param } from '@nestjs/common';
import { InjectSession, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';

import type { Direction } from '../support/network-link.js';
import { NetworkProxy } from '../support/network-proxy.js';
import { Note } from '../support/note.entity.js';
import { poll } from '../support/poll.js';
import { injections, platforms, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const POOL_SIZE = 4;

@Controller()
class NotesController {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @Get('write/:text')
  async write(@Param('text') text: string): Promise<void> {
    try {
      await this.session.begin();
      this.session.create(Note, { text });
      await this.session.commit();
    } catch {
      // Nobody is there to be told.
    }
  }

  @Get('slow')
  async slow(): Promise<void> {
    await this.session.execute(`select pg_sleep(1.5); insert into note (text) values ('slow')`);
  }
}

const cells = injections.flatMap((injection) => platforms.map((platform) => ({ injection, platform })));

describe.each(cells)('a request whose client has left, over $platform with $injection injection', (cell) => {
  let database: TestDatabase;
  let network: NetworkProxy;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    network = await NetworkProxy.start(database.url);
    app = await startTestApp({
      databaseUrl: network.url,
      platform: cell.platform,
      session: { injection: cell.injection },
      controllers: [NotesController],
      orm: { pool: { min: 0, max: POOL_SIZE } },
    });
  });

  afterEach(() => network.heal());

  afterAll(async () => {
    await app.app.close();
    await network.close();
    await database.drop();
  });

  const noneLives = (): Promise<void> =>
    poll('no scope lives', async () => app.get<SessionRegistry>(SessionRegistry).list().length === 0);

  const poolServesAll = async (): Promise<void> => {
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    let waiting = POOL_SIZE;
    const all = Promise.withResolvers<void>();
    await Promise.all(
      Array.from({ length: POOL_SIZE }, () =>
        factory.begin(async (session) => {
          await session.execute('select 1');
          waiting -= 1;
          if (waiting === 0) {
            all.resolve();
          }
          await all.promise;
        }),
      ),
    );
  };

  /** Asks, and leaves as soon as `asked` says that the server is at it. */
  const askAndLeave = async (path: string, asked: Promise<unknown>): Promise<void> => {
    const request = get(`${app.url}/${path}`);
    request.on('error', () => undefined);
    const closed = new Promise((resolve) => {
      request.once('close', resolve);
    });
    await asked;
    request.destroy();
    await closed;
  };

  const moments: readonly RegExp[] = [/^begin/, /^insert/, /^commit/];
  const directions: readonly Direction[] = ['statements', 'answers'];

  it.each(moments.flatMap((moment) => directions.map((direction) => ({ moment, direction }))))(
    'ends when the $direction of $moment are lost',
    async ({ moment, direction }) => {
      const lost = network.once('statement', moment, (link) => link.swallow(direction));

      await askAndLeave('write/lost', lost);

      await noneLives();
      await expect(poolServesAll()).resolves.toBeUndefined();
    },
  );

  it('ends when the whole network swallows everything', async () => {
    const lost = network.once('statement', /^insert/, () => network.swallow());

    await askAndLeave('write/lost', lost);

    await noneLives();
    await network.heal();
    await expect(poolServesAll()).resolves.toBeUndefined();
  });

  it('goes on with a statement that is only slow', async () => {
    const sent = network.once('statement', /pg_sleep/);

    await askAndLeave('slow', sent);

    await noneLives();
    await expect(database.query(`select text from note where text = 'slow'`)).resolves.toHaveLength(1);
  });
});
