import { EventEmitter, once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';

import type { EntityManager } from '@mikro-orm/postgresql';
import {
  type ArgumentsHost,
  Catch,
  Controller,
  type ExceptionFilter,
  Param,
  Post,
  Res,
  type Type,
} from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { InjectSession } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { findTexts } from '../support/find-texts.js';
import { noLiveScope } from '../support/no-live-scope.js';
import { Note } from '../support/note.entity.js';
import { injections, platforms, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { watchCommits } from '../support/watched-commit.js';

/** The responses of Express and Fastify. */
interface AnyResponse {
  readonly raw?: ServerResponse;
  status(code: number): this;
  send(body: unknown): unknown;
}

const rawOf = (response: AnyResponse): ServerResponse => response.raw ?? (response as unknown as ServerResponse);

/** Longer than what a response takes before its writer is to wait. */
const LONG = 'x'.repeat(1_000_000);
const steps = new EventEmitter();

function shorten(text: string): string {
  return text.length < 100 ? text : `${text.length} characters`;
}

@Catch()
class WritingFilter implements ExceptionFilter {
  catch(_error: unknown, host: ArgumentsHost): void {
    const raw = rawOf(host.switchToHttp().getResponse());
    raw.statusCode = 503;
    raw.write('try ');
    raw.write('again ');
    raw.end('later');
  }
}

@Catch()
class StreamingFilter implements ExceptionFilter {
  catch(_error: unknown, host: ArgumentsHost): void {
    const response: AnyResponse = host.switchToHttp().getResponse();
    const body = Readable.from(['try ', 'again ', 'later']);
    if (response.raw === undefined) {
      body.pipe(rawOf(response.status(503)));
    } else {
      response.status(503).send(body);
    }
  }
}

@Catch()
class LongFilter implements ExceptionFilter {
  catch(_error: unknown, host: ArgumentsHost): void {
    const response: AnyResponse = host.switchToHttp().getResponse();
    const raw = rawOf(response.status(503));
    raw.statusCode = 503;
    Readable.from([LONG, LONG]).pipe(raw);
  }
}

/** Answers only when the handler has tried to. */
@Catch()
class LateFilter implements ExceptionFilter {
  async catch(_error: unknown, host: ArgumentsHost): Promise<void> {
    const response: AnyResponse = host.switchToHttp().getResponse();
    const ended = once(steps, 'ended');
    steps.emit('failed');
    await ended;
    response.status(503).send('try again later');
  }
}

@Controller()
class WritingController {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @Post('pipes/:text')
  pipes(@Param('text') text: string, @Res() response: AnyResponse): void {
    this.session.create(Note, { text });
    Readable.from([LONG, 'end']).pipe(rawOf(response));
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

  @Post('ends/:text')
  ends(@Param('text') text: string, @Res() response: AnyResponse): void {
    this.session.create(Note, { text });
    rawOf(response).end(text);
  }

  @Post('late/:text')
  async late(@Param('text') text: string, @Res() response: AnyResponse): Promise<void> {
    this.session.create(Note, { text });
    const raw = rawOf(response);
    const failed = once(steps, 'failed');
    raw.write('something ');
    await failed;
    raw.write('of the ');
    raw.end('handler');
    steps.emit('ended');
  }
}

describe.each(platforms)('an answer in place of one that was dropped, over %s', (platform) => {
  describe.each(injections)('with %s injection', (injection) => {
    let database: TestDatabase;
    let app: TestApp;
    let log: CapturedLog;

    async function start(filter: Type<ExceptionFilter>): Promise<void> {
      app = await startTestApp({
        databaseUrl: database.url,
        platform,
        session: { injection, http: { transaction: true } },
        controllers: [WritingController],
        providers: [{ provide: APP_FILTER, useClass: filter }],
      });
      await watchCommits(database);
    }

    beforeEach(async () => {
      log = new CapturedLog();
      database = await createTestDatabase();
    });

    afterEach(async () => {
      log[Symbol.dispose]();
      await database.untilNoTransaction();
      await noLiveScope(app);
      await app.close();
      await database.drop();
    });

    const post = async (path: string): Promise<readonly [number, string]> => {
      const response = await fetch(`${app.url}/${path}/refused`, { method: 'POST' });
      return [response.status, shorten(await response.text())];
    };

    it.each([
      ['in parts', WritingFilter, 'try again later'],
      ['as a stream', StreamingFilter, 'try again later'],
      ['as a stream that has to wait', LongFilter, shorten(LONG + LONG)],
    ])('may be written %s', async (_how, filter, body) => {
      await start(filter);

      expect(await post('pipes')).toEqual([503, body]);
      expect(await post('asks')).toEqual([503, body]);
      expect(await post('ends')).toEqual([503, body]);
      expect(await findTexts(database)).toEqual([]);
    });

    it('is not the rest of the dropped one', async () => {
      await start(LateFilter);

      expect(await post('late')).toEqual([503, 'try again later']);
      expect(await findTexts(database)).toEqual([]);
    });
  });
});
