import { EventEmitter, once } from 'node:events';
import { request as httpRequest, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { EntityManager } from '@mikro-orm/postgresql';
import {
  type ArgumentsHost,
  Catch,
  Controller,
  type ExceptionFilter,
  Get,
  Injectable,
  type MessageEvent,
  Param,
  Post,
  Res,
  Sse,
  StreamableFile,
  UseInterceptors,
} from '@nestjs/common';
import { APP_FILTER, BaseExceptionFilter, HttpAdapterHost } from '@nestjs/core';
import { InjectSession, SessionRegistry } from 'nestjs-mikro-session';
import type { FastifyInstance } from 'fastify';
import { concatMap, from, map, type Observable } from 'rxjs';

import { CapturedLog } from '../support/captured-log.js';
import { FailingInterceptor } from '../support/failing-interceptor.js';
import { findTexts } from '../support/find-texts.js';
import { noLiveScope } from '../support/no-live-scope.js';
import { Note } from '../support/note.entity.js';
import { ANSWERS_OF_GENERATORS } from '../support/answers-of-generators.js';
import { poll } from '../support/poll.js';
import { itSince } from '../support/since.js';
import { injections, platforms, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { holdCommits, letCommit, untilCommitting, watchCommits } from '../support/watched-commit.js';

/** The little that the responses of Express and Fastify have in common, and that of Node. */
interface AnyResponse {
  readonly raw?: ServerResponse;
  /** Only Fastify's reply is given up for the response itself. */
  hijack?(): void;
  status(code: number): this;
  header(name: string, value: string): this;
  send(body: unknown): unknown;
}

const rawOf = (response: AnyResponse): ServerResponse => response.raw ?? (response as unknown as ServerResponse);

/** Calls from outside of every request. */
const outside = new EventEmitter();

/** Longer than what a response takes before its writer is to wait. */
const LONG = 'x'.repeat(1_000_000);

/** Takes its time. */
@Injectable()
@Catch()
class SlowFilter implements ExceptionFilter {
  constructor(private readonly adapter: HttpAdapterHost) {}

  async catch(exception: unknown, host: ArgumentsHost): Promise<void> {
    for (let turn = 0; turn < 10; turn += 1) {
      await nextTurn();
    }
    new BaseExceptionFilter(this.adapter.httpAdapter).catch(exception, host);
  }
}

@Controller()
class AnswerController {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @Post('sends/:text')
  sends(@Param('text') text: string, @Res() response: AnyResponse): void {
    this.session.create(Note, { text });
    rawOf(response).once('close', () => outside.emit('closed'));
    response.status(201).header('set-cookie', 'id=1').header('x-answer', 'yes').send({ text });
  }

  @Post('refuses/:text')
  refuses(@Param('text') text: string, @Res() response: AnyResponse): void {
    this.session.create(Note, { text });
    response.status(409).send({ text });
  }

  @Post('ends/:text')
  ends(@Param('text') text: string, @Res() response: AnyResponse): void {
    this.session.create(Note, { text });
    rawOf(response).writeHead(202, { 'x-answer': 'yes' });
    rawOf(response).end(text);
  }

  @Post('writes/:text')
  writes(@Param('text') text: string, @Res() response: AnyResponse): void {
    this.session.create(Note, { text });
    rawOf(response).write('one ');
    rawOf(response).write('two ');
    rawOf(response).end('three');
  }

  @Post('pipes/:text')
  pipes(@Param('text') text: string, @Res() response: AnyResponse): void {
    this.session.create(Note, { text });
    rawOf(response).once('close', () => outside.emit('closed'));
    Readable.from([LONG, 'end']).pipe(rawOf(response));
  }

  /** It goes on while there is no answer in place of this one. */
  @Post('goes-on/:text')
  async goesOn(@Param('text') text: string, @Res() response: AnyResponse): Promise<void> {
    this.session.create(Note, { text });
    const raw = rawOf(response);
    const most = text === 'refused' ? Infinity : 100;
    for (let count = 0; count < most && !raw.writableFinished; count += 1) {
      raw.write('more ');
      await nextTurn();
    }
    raw.end();
  }

  @Post('asks/:text')
  async asks(@Param('text') text: string, @Res() response: AnyResponse): Promise<void> {
    this.session.create(Note, { text });
    const raw = rawOf(response);
    if (!raw.write(LONG)) {
      await once(raw, 'drain');
    }
    raw.end(text);
  }

  @Post('hands-on/:text')
  handsOn(@Param('text') text: string, @Res() response: AnyResponse): void {
    this.session.create(Note, { text });
    outside.once('answer', () => response.status(201).send({ text }));
    outside.emit('ready');
  }

  @Post('hijacks/:text')
  hijacks(@Param('text') text: string, @Res() response: AnyResponse): void {
    this.session.create(Note, { text });
    response.hijack?.();
    rawOf(response).end(text);
  }

  @Post('twice/:text')
  twice(@Param('text') text: string, @Res() response: AnyResponse): void {
    this.session.create(Note, { text });
    rawOf(response).end('first');
    outside.emit('sent', rawOf(response).headersSent);
    rawOf(response).statusCode = 500;
    rawOf(response).setHeader('x-late', 'yes');
    rawOf(response).end('second');
  }

  @Post('throws/:text')
  throws(@Param('text') text: string, @Res() response: AnyResponse): void {
    this.session.create(Note, { text });
    response.send('sent');
    throw new Error('after the answer');
  }

  @UseInterceptors(FailingInterceptor)
  @Post('interceptor/:text')
  intercepted(@Param('text') text: string, @Res() response: AnyResponse): void {
    this.session.create(Note, { text });
    response.send('sent');
  }

  @Post('file/:text')
  file(@Param('text') text: string): StreamableFile {
    this.session.create(Note, { text });
    return new StreamableFile(Readable.from(this.lines()));
  }

  @Post('lines/:text')
  async *lines(): AsyncGenerator<string, void> {
    yield `${this.session.isInTransaction()}\n`;
    await nextTurn();
    yield `${this.session.isInTransaction()}, ${await this.session.count(Note)}`;
  }

  @Get('rows')
  async *rows(): AsyncGenerator<string, void> {
    for await (const { text } of this.session.stream(Note)) {
      yield text;
    }
  }

  @Sse('events')
  events(): Observable<MessageEvent> {
    const isInTransaction = this.session.isInTransaction();
    return from([1, 2]).pipe(
      concatMap(async () => this.session.insert(Note, { text: 'event' })),
      map(() => ({ data: String(isInTransaction) })),
    );
  }
}

describe.each(platforms)('an answer within http.transaction over %s', (platform) => {
  describe.each(injections)('with %s injection', (injection) => {
    let database: TestDatabase;
    let app: TestApp;
    let log: CapturedLog;

    beforeAll(async () => {
      database = await createTestDatabase();
      app = await startTestApp({
        databaseUrl: database.url,
        platform,
        session: { injection, http: { transaction: true } },
        controllers: [AnswerController],
        providers: [{ provide: APP_FILTER, useClass: SlowFilter }],
      });
      await watchCommits(database);
    });

    beforeEach(async () => {
      log = new CapturedLog();
      await database.query('delete from note');
    });

    afterEach(async () => {
      log[Symbol.dispose]();
      await database.untilNoTransaction();
      await noLiveScope(app);
    });

    afterAll(async () => {
      await app.close();
      await database.drop();
    });

    const post = (path: string): Promise<Response> => fetch(`${app.url}/${path}`, { method: 'POST' });

    const texts = (): Promise<string[]> => findTexts(database);

    describe.each<[string, number, string]>([
      ['sends', 201, '{"text":"slow"}'],
      ['ends', 202, 'slow'],
      ['writes', 201, 'one two three'],
      ['pipes', 201, `${LONG}end`],
      ['asks', 201, `${LONG}slow`],
      ['goes-on', 201, 'more '.repeat(100)],
      ['twice', 201, 'first'],
    ])('of a handler that %s', (path, status, body) => {
      it('waits for the commit', async () => {
        await holdCommits(database);
        let isAnswered = false;
        const answered = post(`${path}/slow`).finally(() => (isAnswered = true));
        await untilCommitting(database);
        expect(isAnswered).toBe(false);

        await letCommit(database);

        const response = await answered;
        expect(response.status).toBe(status);
        expect(response.headers.get('x-late')).toBeNull();
        expect(await response.text()).toBe(body);
        expect(await texts()).toEqual(['slow']);
        expect(log.errors).toEqual([]);
      });

      it('is a 500 when the commit fails, and nothing else', async () => {
        const response = await post(`${path}/refused`);

        expect(response.status).toBe(500);
        expect(await response.json()).toEqual({ statusCode: 500, message: 'Internal server error' });
        expect(response.headers.get('x-answer')).toBeNull();
        expect(response.headers.getSetCookie()).toEqual([]);
        expect(log.errors).toEqual([expect.stringContaining('refused')]);
        expect(await texts()).toEqual([]);
      });
    });

    it.each([
      ['kept', 201],
      ['refused', 500],
    ])('is sent from outside of the request: %s', async (text, status) => {
      const ready = once(outside, 'ready');
      const answered = post(`hands-on/${text}`);
      await ready;
      outside.emit('answer');

      expect((await answered).status).toBe(status);
      expect(await texts()).toEqual(status === 500 ? [] : [text]);
    });

    it.each([
      ['kept', 201, 'kept'],
      ['refused', 500, expect.not.stringContaining('refused')],
    ])('is sent past the platform: %s', async (text, status, body) => {
      const response = await post(`hijacks/${text}`);

      expect(response.status).toBe(status);
      expect(await response.text()).toEqual(body);
    });

    it.each(['sends', 'pipes'])(
      'of a handler that %s, whose client goes away meanwhile, is committed',
      async (path) => {
        await holdCommits(database);
        const request = httpRequest(`${app.url}/${path}/slow`, { method: 'POST' }).end();
        request.on('error', () => undefined);
        const closed = once(outside, 'closed');
        await untilCommitting(database);
        request.destroy();
        await closed;
        expect(app.get<SessionRegistry>(SessionRegistry).list()).toMatchObject([{ state: 'open' }]);

        await letCommit(database);

        await noLiveScope(app);
        expect(await texts()).toEqual(['slow']);
      },
    );

    it('is not to be begun again, for whoever asks', async () => {
      const sent = once(outside, 'sent');
      await post('twice/kept').then((response) => response.text());

      expect(await sent).toEqual([true]);
    });

    it('of a status of 400 or more, sent by hand, rolls back', async () => {
      const response = await post('refuses/lost');

      expect(response.status).toBe(409);
      expect(await response.json()).toEqual({ text: 'lost' });
      expect(await texts()).toEqual([]);
    });

    it.each(['throws', 'interceptor'])('is sent, and committed, before what is thrown after it: %s', async (path) => {
      const response = await post(`${path}/kept`);

      expect(await response.text()).toBe('sent');
      expect(await texts()).toEqual(['kept']);
      await poll('it is logged', async () => log.errors.length > 0);
      expect(log.errors).toEqual([expect.stringContaining('after the')]);
    });

    it('of a file begins after the commit', async () => {
      expect(await post('file/kept').then((response) => response.text())).toBe('false\nfalse, 1');
      expect((await post('file/refused')).status).toBe(500);
      expect(await texts()).toEqual(['kept']);
    });

    itSince('@nestjs/core', ANSWERS_OF_GENERATORS)(
      'of a generator is in the transaction up to its first value',
      async () => {
        expect(await post('lines/any').then((response) => response.text())).toBe('true\nfalse, 0');
      },
    );

    itSince('@nestjs/core', ANSWERS_OF_GENERATORS)('is an error where it reads rows in the transaction', async () => {
      await database.query(`insert into note (text) select 'x' from generate_series(1, 500)`);

      const response = await fetch(`${app.url}/rows`);

      expect(response.status).toBe(500);
      expect(log.errors).toEqual([expect.stringContaining('while a stream of it was half read')]);
    });

    it('of server-sent events is in no transaction', async () => {
      const events = await fetch(`${app.url}/events`).then((response) => response.text());

      expect(events.match(/data: .*/g)).toEqual(['data: false', 'data: false']);
      expect(await texts()).toEqual(['event', 'event']);
    });

    it('waits for its turn on the connection', async () => {
      const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
      await holdCommits(database);
      const head = ' HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n';
      socket.write(
        `POST /sends/slow${head}\r\nPOST /sends/refused${head}\r\nPOST /sends/kept${head}Connection: close\r\n\r\n`,
      );
      await untilCommitting(database);
      await database.until(`select count(*) = 1 from note where text = 'kept'`);

      await letCommit(database);

      const statuses = [...(await readText(socket)).matchAll(/HTTP\/1\.1 (\d+)/gm)].map(([, status]) => status);
      expect(statuses).toEqual(['201', '500', '201']);
      expect((await texts()).toSorted()).toEqual(['kept', 'slow']);
    });
  });
});

describe('an answer within http.transaction over fastify', () => {
  it('goes on where the response always has room', async () => {
    const database = await createTestDatabase();
    const app = await startTestApp({
      databaseUrl: database.url,
      platform: 'fastify',
      session: { http: { transaction: true } },
      controllers: [AnswerController],
    });

    const fastify = app.app.getHttpAdapter().getInstance() as FastifyInstance;
    const { body } = await fastify.inject({ method: 'POST', url: '/asks/kept' });

    expect(body).toBe(`${LONG}kept`);
    await app.close();
    await database.drop();
  });
});
