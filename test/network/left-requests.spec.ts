import { get } from 'node:http';

import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, Param } from '@nestjs/common';
import { InjectSession, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';

import { holdPool } from '../support/hold-together.js';
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

type Cell = (typeof cells)[number];

/** An application on a network of its own, so that others can work while this one waits. */
class Site {
  private constructor(
    readonly database: TestDatabase,
    readonly network: NetworkProxy,
    private readonly app: TestApp,
  ) {}

  static async start({ platform, injection }: Cell): Promise<Site> {
    const database = await createTestDatabase();
    const network = await NetworkProxy.start(database.url);
    const app = await startTestApp({
      databaseUrl: network.url,
      platform,
      session: { injection },
      controllers: [NotesController],
      orm: { pool: { min: 0, max: POOL_SIZE } },
    });
    return new Site(database, network, app);
  }

  async end(): Promise<void> {
    await this.app.close();
    await this.network.close();
    await this.database.drop();
  }

  noneLives(): Promise<void> {
    const registry = this.app.get<SessionRegistry>(SessionRegistry);
    return poll('no scope lives', () => Promise.resolve(registry.list().length === 0));
  }

  /** Tells how many connections of the pool can be had. */
  poolServes(): Promise<number> {
    return holdPool(this.app.get<SessionFactory<EntityManager>>(SessionFactory), POOL_SIZE);
  }

  /** Asks, and leaves as soon as `asked` says that the server is at it. */
  async askAndLeave(path: string, asked: Promise<unknown>): Promise<void> {
    const request = get(`${this.app.url}/${path}`);
    request.on('error', () => undefined);
    const closed = new Promise((resolve) => {
      request.once('close', resolve);
    });
    await asked;
    request.destroy();
    await closed;
  }
}

describe('a request whose client has left, over each platform with each injection', () => {
  const sites: Site[] = [];

  beforeAll(async () => {
    for (const cell of cells) {
      sites.push(await Site.start(cell));
    }
  });

  afterEach(() => Promise.all(sites.map(({ network }) => network.heal())));

  afterAll(() => Promise.all(sites.map((site) => site.end())));

  const everywhere = <Result>(work: (site: Site) => Promise<Result>): Promise<Result[]> =>
    Promise.all(sites.map((site) => work(site)));

  const moments: readonly RegExp[] = [/^begin/, /\binsert/, /^commit/];
  const directions: readonly Direction[] = ['statements', 'answers'];

  it.each(moments.flatMap((moment) => directions.map((direction) => ({ moment, direction }))))(
    'ends when the $direction of $moment are lost',
    async ({ moment, direction }) => {
      const served = await everywhere(async (site) => {
        const lost = site.network.once('statement', moment, (link) => link.swallow(direction));
        await site.askAndLeave('write/lost', lost);
        await site.noneLives();
        return site.poolServes();
      });

      expect(served).toEqual(cells.map(() => POOL_SIZE));
    },
  );

  it('ends when the whole network swallows everything', async () => {
    const served = await everywhere(async (site) => {
      const lost = site.network.once('statement', /\binsert/, () => site.network.swallow());
      await site.askAndLeave('write/lost', lost);
      await site.noneLives();
      await site.network.heal();
      return site.poolServes();
    });

    expect(served).toEqual(cells.map(() => POOL_SIZE));
  });

  it('goes on with a statement that is only slow', async () => {
    const written = await everywhere(async (site) => {
      const sent = site.network.once('statement', /pg_sleep/);
      await site.askAndLeave('slow', sent);
      await site.noneLives();
      return site.database.query(`select text from note where text = 'slow'`);
    });

    expect(written).toEqual(cells.map(() => [{ text: 'slow' }]));
  });
});
