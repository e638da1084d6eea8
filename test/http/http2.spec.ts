import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { Readable } from 'node:stream';

import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, Injectable, Param, Res, StreamableFile } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { type Scope, SessionContext } from 'nestjs-mikro-session';

import { noLiveScope } from '../support/no-live-scope.js';
import { Note } from '../support/note.entity.js';
import { injections, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { watchCommits } from '../support/watched-commit.js';

/** Where a test and the handlers it calls meet. */
@Injectable()
class Stage {
  arrived = Promise.withResolvers<{ readonly scope: Scope; readonly signal: AbortSignal }>();
  goOn = Promise.withResolvers<void>();
}

@Controller()
class StageController {
  constructor(
    private readonly stage: Stage,
    private readonly context: SessionContext<EntityManager>,
  ) {}

  @Get('answers')
  async answers(): Promise<string> {
    return `${await this.context.current.count(Note)} notes`;
  }

  @Get('waits')
  async waits(): Promise<string> {
    this.arrive();
    await this.stage.goOn.promise;
    return 'ok';
  }

  @Get('holds')
  async holds(): Promise<string> {
    await this.context.current.begin();
    await this.context.current.count(Note);
    return this.waits();
  }

  @Get('rows')
  rows(): StreamableFile {
    this.arrive();
    return new StreamableFile(Readable.from(this.lines()));
  }

  private async *lines(): AsyncGenerator<string, void> {
    for await (const { text } of this.context.current.stream(Note, {})) {
      yield `${text}\n`;
    }
  }

  private arrive(): void {
    const { scope, current } = this.context;
    void current.id;
    this.stage.arrived.resolve({ scope, signal: scope.signal });
  }
}

describe.each(injections)('a request over HTTP/2 with %s injection', (injection) => {
  let database: TestDatabase;
  let app: TestApp;
  let stage: Stage;
  let client: ClientHttp2Session;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      adapter: new FastifyAdapter({ http2: true }),
      orm: { pool: { min: 0, max: 3 } },
      session: { injection },
      controllers: [StageController],
      providers: [Stage],
    });
    app.app.useLogger(false);
    stage = app.get(Stage);
    client = connect(app.url);
  });

  beforeEach(() => Object.assign(stage, new Stage()));

  afterAll(async () => {
    client.close();
    await app.close();
    await database.drop();
  });

  function open(path: string, method = 'GET'): ClientHttp2Stream {
    const stream = client.request({ ':path': path, ':method': method });
    stream.on('error', () => undefined);
    return stream;
  }

  async function read(path: string): Promise<string> {
    const chunks = (await open(path).toArray()) as Buffer[];
    return Buffer.concat(chunks).toString();
  }

  it('has its session closed when it was answered', async () => {
    expect(await read('/answers')).toBe('0 notes');

    await noLiveScope(app);
  });

  it.each([
    ['GET', '/waits'],
    ['HEAD', '/waits'],
    ['GET', '/holds'],
  ])('is aborted when its client resets the stream of %s %s, and ends with its handler', async (method, path) => {
    const stream = open(path, method);
    const { scope, signal } = await stage.arrived.promise;

    stream.close(constants.NGHTTP2_CANCEL);
    await (signal.aborted || once(signal, 'abort'));
    expect(scope.state).toBe('open');
    stage.goOn.resolve();
    await noLiveScope(app);

    expect(scope.state).toBe('closed');
  });

  it('is aborted when its client goes away with the whole connection', async () => {
    const other = connect(app.url);
    other.request({ ':path': '/holds' }).on('error', () => undefined);
    const { scope, signal } = await stage.arrived.promise;

    other.destroy();
    await (signal.aborted || once(signal, 'abort'));
    stage.goOn.resolve();
    await noLiveScope(app);

    expect(scope.state).toBe('closed');
  });

  it('gives its connection back when its client resets it while rows are streamed', async () => {
    await database.query(`insert into note (text) select repeat('x', 1000) from generate_series(1, 20000) n`);
    const stream = open('/rows');
    await once(stream, 'readable');
    const { scope, signal } = await stage.arrived.promise;

    stream.close(constants.NGHTTP2_CANCEL);
    await noLiveScope(app);

    expect([scope.state, signal.aborted]).toEqual(['closed', true]);
    await database.query('delete from note');
  });

  it('leaves room in the pool for the next when more than it holds were reset', async () => {
    for (let n = 0; n < 4; n++) {
      Object.assign(stage, new Stage());
      const stream = open('/holds');
      await stage.arrived.promise;
      stream.close(constants.NGHTTP2_CANCEL);
      stage.goOn.resolve();
    }

    expect(await read('/answers')).toBe('0 notes');
    await noLiveScope(app);
  });
});

@Controller()
class WritingController {
  constructor(private readonly context: SessionContext<EntityManager>) {}

  @Get('returns/:text')
  returns(@Param('text') text: string): Note {
    return this.context.current.create(Note, { text });
  }

  @Get('sends/:text')
  sends(
    @Param('text') text: string,
    @Res() reply: { header(name: string, value: string): typeof reply; send(body: string): void },
  ): void {
    this.context.current.create(Note, { text });
    reply.header('x-answer', 'yes').send(text.padEnd(100_000));
  }

  @Get('pipes/:text')
  pipes(@Param('text') text: string, @Res() reply: { readonly raw: NodeJS.WritableStream }): void {
    this.context.current.create(Note, { text });
    Readable.from([text, ' '.repeat(100_000)]).pipe(reply.raw);
  }
}

describe('http.transaction over HTTP/2', () => {
  let database: TestDatabase;
  let app: TestApp;
  let client: ClientHttp2Session;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      adapter: new FastifyAdapter({ http2: true }),
      session: { injection: 'contextual', http: { transaction: true } },
      controllers: [WritingController],
    });
    app.app.useLogger(false);
    await watchCommits(database);
    client = connect(app.url);
  });

  beforeEach(() => database.query('delete from note'));

  afterAll(async () => {
    client.close();
    await app.close();
    await database.drop();
  });

  it.each(['returns', 'sends', 'pipes'])(
    'commits before a handler that %s has answered, or answers that it failed',
    async (path) => {
      const read = async (text: string): Promise<unknown> => {
        const stream = client.request({ ':path': `/${path}/${text}` });
        const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
        const body = Buffer.concat((await stream.toArray()) as Buffer[]).toString();
        return { status: headers[':status'], mark: headers['x-answer'], isTold: body.includes(text) };
      };

      const mark = path === 'sends' ? 'yes' : undefined;
      expect(await read('kept')).toEqual({ status: 200, mark, isTold: true });
      expect(await read('refused')).toEqual({ status: 500, mark: undefined, isTold: false });
      expect(await database.query('select text from note')).toEqual([{ text: 'kept' }]);
    },
  );
});
