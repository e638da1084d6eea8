import { once } from 'node:events';
import { IncomingMessage, ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';

import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, Injectable } from '@nestjs/common';
import { type Scope, SessionContext } from 'nestjs-mikro-session';

import { noLiveScope } from '../support/no-live-scope.js';
import { Note } from '../support/note.entity.js';
import { platforms } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

type End = 'finish' | 'close' | 'error';

interface Arrival {
  readonly scope: Scope;
  readonly signal: AbortSignal;
  readonly closed: Promise<void>;
}

/** Where a test and the handlers it calls meet. */
@Injectable()
class Stage {
  arrived = Promise.withResolvers<Arrival>();
  goOn = Promise.withResolvers<void>();
  closings = 0;
}

@Controller()
class StageController {
  constructor(
    private readonly stage: Stage,
    private readonly context: SessionContext<EntityManager>,
  ) {}

  @Get('answers')
  async answers(): Promise<string> {
    await this.arrive();
    return 'ok';
  }

  @Get('waits')
  async waits(): Promise<string> {
    await this.arrive();
    await this.stage.goOn.promise;
    return 'ok';
  }

  private async arrive(): Promise<void> {
    const { scope, current } = this.context;
    const closed = Promise.withResolvers<void>();
    this.context.onClose(() => {
      this.stage.closings += 1;
      closed.resolve();
    });
    await current.begin();
    await current.count(Note);
    this.stage.arrived.resolve({ scope, signal: scope.signal, closed: closed.promise });
  }
}

/** A response as some runtimes without sockets make them: of the events that tell of its end it emits but some. */
class TaciturnResponse extends ServerResponse {
  readonly #said: readonly End[];

  constructor(request: IncomingMessage, said: readonly End[]) {
    super(request);
    this.#said = said;
  }

  override emit(event: string | symbol, ...args: unknown[]): boolean {
    const isEnd = (['finish', 'close', 'error'] as const satisfies End[]).includes(event as End);
    const isSaid = !isEnd || this.#said.includes(event as End);
    if (event === 'finish') {
      queueMicrotask(() => this.emit('close'));
    }
    return isSaid && super.emit(event as string, ...args);
  }
}

/** Takes all that is written, as a gateway does that collects the response. */
const createSink = (): Socket => new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() }) as Socket;

describe.each(platforms)('a response over %s', (platform) => {
  let stage: Stage;

  const { app, database } = useTestApp({
    platform,
    session: { injection: 'contextual' },
    controllers: [StageController],
    providers: [Stage],
  });

  beforeAll(() => {
    app.app.useLogger(false);
    stage = app.get(Stage);
  });

  beforeEach(() => Object.assign(stage, new Stage()));

  afterEach(async () => {
    await noLiveScope(app);
    await database.untilNoTransaction();
    expect(stage.closings).toBe(1);
  });

  function dispatch(path: string, said: readonly End[]): ServerResponse {
    const request = Object.assign(new IncomingMessage(createSink()), { method: 'GET', url: path });
    request.push(null);
    const response = new TaciturnResponse(request, said);
    (app.app.getHttpServer() as NodeJS.EventEmitter).emit('request', request, response);
    return response;
  }

  it.each([[['finish']], [['close']], [['finish', 'close']]] satisfies End[][][])(
    'that tells its end by %j ends the scope of its request, once',
    async (said) => {
      dispatch('/answers', said).assignSocket(createSink());
      const { scope, signal, closed } = await stage.arrived.promise;

      await closed;
      await noLiveScope(app);

      expect(scope.state).toBe('closed');
      expect(signal.aborted).toBe(false);
    },
  );

  it('that has no socket and says nothing of its end ends the scope of its request with the handler', async () => {
    const response = dispatch('/answers', []);
    const { scope, signal, closed } = await stage.arrived.promise;

    await closed;
    await noLiveScope(app);

    expect(response.writableEnded).toBe(true);
    expect(scope.state).toBe('closed');
    expect(signal.aborted).toBe(false);
  });

  it('that fails and says no more aborts the scope of its request, which ends with its handler', async () => {
    const response = dispatch('/waits', ['error']);
    response.assignSocket(createSink());
    const { scope, signal, closed } = await stage.arrived.promise;
    const failure = once(response, 'error');

    response.emit('error', new Error('broken pipe'));

    expect(await failure).toEqual([new Error('broken pipe')]);
    expect([signal.aborted, scope.state]).toEqual([true, 'open']);
    stage.goOn.resolve();
    await closed;
    await noLiveScope(app);
    expect(scope.state).toBe('closed');
  });

  it('whose turn has not come when the connection breaks aborts the scope of its request', async () => {
    const { port } = new URL(app.url);
    const socket = connect(Number(port), '127.0.0.1');
    socket.on('error', () => undefined);
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    socket.write(get('/waits'));
    const first = await stage.arrived.promise;
    stage.arrived = Promise.withResolvers();
    socket.write(get('/waits'));
    const second = await stage.arrived.promise;

    socket.destroy();
    await Promise.all([first, second].map(async ({ signal }) => signal.aborted || once(signal, 'abort')));
    stage.goOn.resolve();
    await Promise.all([first.closed, second.closed]);

    expect(stage.closings).toBe(2);
    stage.closings = 1;
  });
});
