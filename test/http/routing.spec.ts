import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, type INestApplication, Param, Req, Version, VersioningType } from '@nestjs/common';
import { RouteConfig, RouteSchema } from '@nestjs/platform-fastify';
import { InjectSession, SessionContext } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { injections, platforms, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

@Controller('notes')
class NotesController {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext,
  ) {}

  @Version('1')
  @Get(':text')
  first(@Param('text') text: string): Promise<unknown> {
    return this.answer('1', text);
  }

  @Version('2')
  @Get(':text')
  second(@Param('text') text: string): Promise<unknown> {
    return this.answer('2', text);
  }

  private async answer(version: string, text: string): Promise<unknown> {
    this.session.create(Note, { text });
    await this.session.flush();
    const [found] = await this.session.find(Note, { text });
    return { version, text: found?.text, label: this.context.scope.label };
  }
}

interface FastifyRequest {
  readonly routeOptions: { readonly config: unknown };
  readonly query: unknown;
}

@Controller('configured')
class ConfiguredController {
  constructor(private readonly context: SessionContext) {}

  @RouteConfig({ rank: 7 })
  @RouteSchema({ querystring: { type: 'object', properties: { page: { type: 'integer' } } } })
  @Get()
  get(@Req() { routeOptions, query }: FastifyRequest): unknown {
    return { config: routeOptions.config, query, label: this.context.scope.label };
  }
}

describe.each(platforms)('a route over %s', (platform) => {
  describe.each(injections)('with %s injection', (injection) => {
    let database: TestDatabase;
    let app: TestApp;

    beforeAll(async () => {
      database = await createTestDatabase();
    });

    afterEach(() => app.close());

    afterAll(() => database.drop());

    const start = async (configure: (app: INestApplication) => void): Promise<void> => {
      app = await startTestApp({
        databaseUrl: database.url,
        platform,
        session: { injection },
        controllers: [NotesController],
        configure,
      });
    };

    const get = async (path: string, headers: Record<string, string> = {}): Promise<unknown> =>
      (await fetch(`${app.url}${path}`, { headers })).json();

    it('has a session behind a global prefix and a version in the path', async () => {
      await start((server) => server.setGlobalPrefix('api').enableVersioning({ type: VersioningType.URI }));

      expect(await get('/api/v1/notes/a')).toEqual({ version: '1', text: 'a', label: 'GET /api/v1/notes/a' });
      expect(await get('/api/v2/notes/b')).toEqual({ version: '2', text: 'b', label: 'GET /api/v2/notes/b' });
    });

    it('has a session behind a version in a header', async () => {
      await start((server) => server.enableVersioning({ type: VersioningType.HEADER, header: 'x-version' }));

      expect(await get('/notes/a', { 'x-version': '1' })).toEqual({ version: '1', text: 'a', label: 'GET /notes/a' });
      expect(await get('/notes/b', { 'x-version': '2' })).toEqual({ version: '2', text: 'b', label: 'GET /notes/b' });
    });
  });
});

describe('a route over fastify with options of its own', () => {
  it('keeps them', async () => {
    const database = await createTestDatabase();
    const { app, url } = await startTestApp({
      databaseUrl: database.url,
      platform: 'fastify',
      controllers: [ConfiguredController],
    });

    const answer = await fetch(`${url}/configured?page=5`).then((response) => response.json());

    expect(answer).toMatchObject({ config: { rank: 7 }, query: { page: 5 }, label: 'GET /configured' });
    await app.close();
    await database.drop();
  });
});
