import { once } from 'node:events';
import { request as httpRequest } from 'node:http';

import { Transactional } from '@mikro-orm/decorators/legacy';
import { EntityManager, UniqueConstraintViolationException } from '@mikro-orm/postgresql';
import {
  type ArgumentsHost,
  type CallHandler,
  type CanActivate,
  Catch,
  ConflictException,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  Get,
  Head,
  HttpCode,
  Injectable,
  type MiddlewareConsumer,
  Module,
  type NestInterceptor,
  Next,
  NotFoundException,
  Param,
  type PipeTransform,
  Post,
  Redirect,
  Res,
  Scope as RequestScope,
  ServiceUnavailableException,
  UseFilters,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import {
  type HttpOptions,
  InjectSession,
  InSession,
  isTransientError,
  SessionContext,
  SessionRegistry,
} from 'nestjs-mikro-session';
import { concatMap, type Observable } from 'rxjs';

import { CapturedLog } from '../support/captured-log.js';
import { FailingInterceptor } from '../support/failing-interceptor.js';
import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { injections, platforms, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { holdCommits, letCommit, untilCommitting, watchCommits } from '../support/watched-commit.js';

/** Where a test and what it calls meet. */
@Injectable()
class Stage {
  transactions: string[] = [];
  ends: string[] = [];
  arrived = Promise.withResolvers<AbortSignal>();
  goOn = Promise.withResolvers<void>();
}

@Injectable()
class Writer {
  constructor(
    @InjectSession() readonly session: EntityManager,
    private readonly stage: Stage,
  ) {}

  /** Writes a note, and remembers in which transaction. */
  async write(text: string): Promise<void> {
    this.session.create(Note, { text });
    await this.session.flush();
    const [row] = await this.session.execute<{ id: string }[]>('select pg_current_xact_id()::text as id');
    this.stage.transactions.push(row!.id);
  }

  @Transactional()
  async writeTransactional(text: string): Promise<void> {
    await this.write(text);
  }

  @InSession({ transaction: true })
  async writeInSession(text: string): Promise<void> {
    await this.write(text);
  }
}

@Injectable()
class WritingGuard implements CanActivate {
  constructor(private readonly writer: Writer) {}

  async canActivate(): Promise<boolean> {
    await this.writer.write('guard');
    return true;
  }
}

@Injectable()
class RefusingGuard implements CanActivate {
  constructor(private readonly writer: Writer) {}

  async canActivate(): Promise<boolean> {
    await this.writer.write('guard');
    return false;
  }
}

@Injectable()
class WritingPipe implements PipeTransform {
  constructor(private readonly writer: Writer) {}

  async transform(value: string): Promise<string> {
    await this.writer.write('pipe');
    return value;
  }
}

@Injectable()
class WritingInterceptor implements NestInterceptor {
  constructor(private readonly writer: Writer) {}

  async intercept(_context: ExecutionContext, handler: CallHandler): Promise<Observable<unknown>> {
    await this.writer.write('interceptor, before');
    return handler.handle().pipe(
      concatMap(async (value: unknown) => {
        await this.writer.write('interceptor, after');
        return value;
      }),
    );
  }
}

/** Answers every error as if all were well, and tells what it finds. */
@Injectable()
@Catch()
class ForgivingFilter implements ExceptionFilter {
  constructor(
    private readonly context: SessionContext<EntityManager>,
    private readonly host: HttpAdapterHost,
  ) {}

  async catch(error: Error, host: ArgumentsHost): Promise<void> {
    const { current: session } = this.context;
    session.create(Note, { text: `audit: ${error.message.split('\n', 1)[0]}` });
    await session.flush();
    this.host.httpAdapter.reply(host.switchToHttp().getResponse(), { forgiven: session.isInTransaction() }, 200);
  }
}

@Controller()
class NoteController {
  constructor(
    private readonly writer: Writer,
    private readonly stage: Stage,
    private readonly context: SessionContext<EntityManager>,
    @InjectSession() private readonly session: EntityManager,
  ) {}

  @UseGuards(WritingGuard)
  @UseInterceptors(WritingInterceptor)
  @Get('all/:name')
  async all(@Param('name', WritingPipe) name: string): Promise<string[]> {
    await this.writer.write(name);
    await this.session.transactional(() => this.writer.write('savepoint'));
    await this.writer.writeTransactional('@Transactional()');
    await this.writer.writeInSession('@InSession()');
    return this.stage.transactions;
  }

  /** It flushes nothing. */
  @Post('notes/:text')
  create(@Param('text') text: string): Note {
    return this.session.create(Note, { text });
  }

  @Get('nothing')
  nothing(): object {
    return { isInTransaction: this.session.isInTransaction() };
  }

  @Redirect('/somewhere', 302)
  @Get('redirects/:text')
  redirects(@Param('text') text: string): object {
    return { url: `/somewhere/${this.session.create(Note, { text }).text}` };
  }

  @HttpCode(304)
  @Get('unchanged')
  unchanged(): void {
    this.session.create(Note, { text: 'kept' });
  }

  @Head('head')
  head(): void {
    this.session.create(Note, { text: 'kept' });
  }

  @Get('rolled-back/throws')
  async throws(): Promise<never> {
    await this.writer.write('lost');
    throw new Error('on purpose');
  }

  @Get('rolled-back/not-found')
  async notFound(): Promise<never> {
    await this.writer.write('lost');
    throw new NotFoundException();
  }

  @HttpCode(400)
  @Get('rolled-back/http-code')
  async httpCode(): Promise<Note> {
    return this.session.create(Note, { text: 'lost' });
  }

  @Get('rolled-back/passthrough')
  async passthrough(@Res({ passthrough: true }) response: { status(code: number): unknown }): Promise<Note> {
    response.status(422);
    const note = this.session.create(Note, { text: 'lost' });
    await this.session.flush();
    return note;
  }

  @UseInterceptors(FailingInterceptor)
  @Get('rolled-back/interceptor')
  async interceptor(): Promise<void> {
    await this.writer.write('lost');
  }

  @UseGuards(RefusingGuard)
  @Get('rolled-back/guard')
  guarded(): void {}

  @Get('rolled-back/caught')
  async caught(): Promise<void> {
    await this.session.execute('select 1 / 0').catch(() => undefined);
  }

  @UseFilters(ForgivingFilter)
  @Get('forgiven')
  async forgiven(): Promise<void> {
    const known = await this.session.findOneOrFail(Note, { text: 'known' });
    await this.writer.write('lost');
    known.text = 'never flushed';
    this.session.create(Note, { text: 'never flushed' });
    throw new Error('on purpose');
  }

  @UseFilters(ForgivingFilter)
  @Get('forgiven-commit')
  forgivenCommit(): void {
    this.session.create(Note, { text: 'refused' });
  }

  @Get('refused')
  refused(
    @Res({ passthrough: true })
    response: { header(name: string, value: string): unknown },
  ): string {
    response.header('set-cookie', 'id=1');
    response.header('etag', '"1"');
    response.header('content-type', 'text/csv');
    this.session.create(Note, { text: 'refused' });
    return 'a,b';
  }

  @Get('twice')
  async twice(): Promise<void> {
    await this.session.insert(Note, { id: -1, text: 'first' });
    this.session.create(Note, { id: -1, text: 'second' });
  }

  @Get('ends/:status')
  async ends(@Param('status') status: string): Promise<void> {
    this.context.afterCommit(() => void this.stage.ends.push('commit'));
    this.context.afterRollback(() => void this.stage.ends.push('rollback'));
    if (status !== '200') {
      throw new NotFoundException();
    }
  }

  @Get('by-hand')
  async byHand(): Promise<void> {
    await this.session.commit();
  }

  @Get('waits')
  async waits(): Promise<void> {
    await this.writer.write('lost');
    this.stage.arrived.resolve(this.context.scope.signal);
    await this.stage.goOn.promise;
  }
}

@Injectable({ scope: RequestScope.REQUEST })
class Impossible {
  constructor() {
    throw new Error('cannot be made');
  }
}

@Controller('impossible')
class ImpossibleController {
  constructor(readonly impossible: Impossible) {}

  @Get()
  get(): void {}
}

@Module({})
class AnsweringModule {
  constructor(private readonly context: SessionContext<EntityManager>) {}

  configure(consumer: MiddlewareConsumer): void {
    consumer
      .apply(async (_request: unknown, response: { end(body: string): void }) => {
        const { current: session } = this.context;
        await session.insert(Note, { text: 'by middleware' });
        response.end(String(session.isInTransaction()));
      })
      .forRoutes('middleware');
  }
}

describe.each(platforms)('http.transaction over %s', (platform) => {
  describe.each(injections)('with %s injection', (injection) => {
    let database: TestDatabase;
    let app: TestApp;
    let stage: Stage;
    let log: CapturedLog;
    let http: HttpOptions;

    beforeAll(async () => {
      database = await createTestDatabase();
      app = await startTestApp({
        databaseUrl: database.url,
        platform,
        session: {
          injection,
          http: {
            transaction: (request) => (http.transaction as (of: typeof request) => undefined)(request),
            commitError: (error, request) => http.commitError?.(error, request),
          },
        },
        imports: [AnsweringModule],
        controllers: [NoteController, ImpossibleController],
        providers: [Stage, Writer, Impossible],
        configure: (nest) => nest.setGlobalPrefix('api'),
      });
      stage = app.get(Stage);
      await watchCommits(database);
    });

    beforeEach(async () => {
      Object.assign(stage, new Stage());
      http = { transaction: () => ({}) };
      log = new CapturedLog();
      await database.query('delete from note');
    });

    afterEach(async () => {
      log[Symbol.dispose]();
      await database.untilNoTransaction();
      expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
    });

    afterAll(async () => {
      await app.close();
      await database.drop();
    });

    const get = (path: string, init: RequestInit = {}): Promise<Response> =>
      fetch(`${app.url}/api/${path}`, { redirect: 'manual', ...init });

    const texts = (): Promise<string[]> => findTexts(database);

    it('has guards, pipes, interceptors and the handler share one transaction', async () => {
      const transactions = await get('all/handler').then((response) => response.json() as Promise<string[]>);

      expect(new Set(transactions).size).toBe(1);
      expect(await texts()).toEqual([
        'guard',
        'interceptor, before',
        'pipe',
        'handler',
        'savepoint',
        '@Transactional()',
        '@InSession()',
        'interceptor, after',
      ]);
    });

    it('flushes before the answer is made', async () => {
      const response = await get('notes/new', { method: 'POST' });

      expect(response.status).toBe(201);
      expect(await response.json()).toEqual({ id: expect.any(Number), text: 'new', tenant: 'a' });
      expect(await texts()).toEqual(['new']);
    });

    it('commits before the answer is sent', async () => {
      await holdCommits(database);
      let isAnswered = false;
      const answered = get('notes/slow', { method: 'POST' }).finally(() => (isAnswered = true));
      await untilCommitting(database);
      expect(isAnswered).toBe(false);

      await letCommit(database);

      expect((await answered).status).toBe(201);
      expect(await texts()).toEqual(['slow']);
    });

    it.each([
      ['redirects/kept', { status: 302 }],
      ['unchanged', { status: 304 }],
      ['head', { status: 200, method: 'HEAD' }],
    ])('commits for /%s', async (path, { status, method = 'GET' }: { status: number; method?: string }) => {
      const response = await get(path, { method });

      expect(response.status).toBe(status);
      expect(await texts()).toEqual(['kept']);
    });

    it.each([
      ['throws', 500],
      ['not-found', 404],
      ['http-code', 400],
      ['passthrough', 422],
      ['interceptor', 500],
      ['guard', 403],
    ])('rolls back for /rolled-back/%s, without a word', async (path, status) => {
      const response = await get(`rolled-back/${path}`);

      expect(response.status).toBe(status);
      expect(await response.json()).toEqual(expect.anything());
      expect(await texts()).toEqual([]);
      expect(log.warnings).toEqual([]);
    });

    it('rolls back what an exception filter makes a success of, and leaves the filter a new session', async () => {
      await database.query(`insert into note (text) values ('known')`);

      const response = await get('forgiven');

      expect(await response.json()).toEqual({ forgiven: false });
      expect(await texts()).toEqual(['known', 'audit: on purpose']);
    });

    it('answers a failed commit with a 500, and with nothing of the answer that was to be', async () => {
      const response = await get('refused');

      expect(response.status).toBe(500);
      expect(await response.json()).toEqual({ statusCode: 500, message: 'Internal server error' });
      expect(response.headers.get('etag')).not.toBe('"1"');
      expect(response.headers.getSetCookie()).toEqual([]);
      expect(response.headers.get('content-type')).toMatch('application/json');
      expect(log.errors).toEqual([expect.stringContaining('refused')]);
      expect(log.warnings).toEqual([]);
      expect(await texts()).toEqual([]);
    });

    it('shows a failed commit to the exception filters of the route', async () => {
      const response = await get('forgiven-commit');

      expect(await response.json()).toEqual({ forgiven: false });
      expect(await texts()).toEqual([expect.stringContaining('refused')]);
    });

    it('tells of a transaction that can but be rolled back', async () => {
      const response = await get('rolled-back/caught');

      expect(response.status).toBe(500);
      expect(log.errors).toEqual([expect.stringContaining('a statement in it had failed')]);
    });

    it('lets `commitError` say what a failed commit is answered with', async () => {
      const urls: unknown[] = [];
      const commitError: HttpOptions['commitError'] = (error, { url }) => {
        urls.push(url);
        if (error instanceof UniqueConstraintViolationException) {
          return new ConflictException();
        }
        return isTransientError(error) ? new ServiceUnavailableException() : undefined;
      };
      http = { ...http, commitError };

      expect((await get('refused')).status).toBe(503);
      expect((await get('twice')).status).toBe(409);
      expect((await get('rolled-back/caught')).status).toBe(500);
      expect(urls).toEqual(['/api/refused', '/api/twice', '/api/rolled-back/caught']);
    });

    it.each([
      ['200', 'commit'],
      ['404', 'rollback'],
    ])('runs the callbacks of its end before the answer: %s', async (status, end) => {
      const response = await get(`ends/${status}`);

      expect(response.status).toBe(Number(status));
      expect(stage.ends).toEqual([end]);
    });

    it('is ended by nobody else', async () => {
      expect((await get('by-hand')).status).toBe(500);
      expect(log.errors).toEqual([expect.stringContaining('whose transaction is ended by the block that began it')]);
    });

    it('rolls back when the client is gone before the commit', async () => {
      const request = httpRequest(`${app.url}/api/waits`).end();
      request.on('error', () => undefined);
      const signal = await stage.arrived.promise;
      request.destroy();
      await once(signal, 'abort');

      stage.goOn.resolve();

      await database.untilNoTransaction();
      expect(await texts()).toEqual([]);
    });

    it('leaves out middleware', async () => {
      const answer = await fetch(`${app.url}/api/middleware`).then((response) => response.text());

      expect(answer).toBe('false');
      expect(await texts()).toEqual(['by middleware']);
    });

    it('asks a function what the transaction of a request is begun with', async () => {
      http = { transaction: ({ method }) => (method === 'GET' ? undefined : { readOnly: true }) };

      expect(await get('nothing').then((response) => response.json())).toEqual({ isInTransaction: false });
      expect((await get('notes/new', { method: 'POST' })).status).toBe(500);
      expect(log.errors).toEqual([expect.stringContaining('read-only transaction')]);
    });

    it('answers with what an exception filter says where the route cannot be made', async () => {
      const response = await get('impossible');

      expect(response.status).toBe(500);
      expect(await response.json()).toEqual({ statusCode: 500, message: 'Internal server error' });
    });

    it('may be read-only for some requests', async () => {
      http = {
        transaction: ({ method }) => (method === 'GET' ? { readOnly: true } : {}),
        commitError: (error) => (isTransientError(error) ? new ServiceUnavailableException() : undefined),
      };

      expect((await get('unchanged')).status).toBe(503);
      expect((await get('notes/new', { method: 'POST' })).status).toBe(201);
      expect(await texts()).toEqual(['new']);
    });

    it('answers a begin that fails with a 500, and shows it to the exception filters of the application', async () => {
      const failing = { beforeTransactionStart: () => Promise.reject(new Error('no begin')) };
      const events = app.orm.em.getEventManager();
      events.registerSubscriber(failing);

      const response = await get('nothing');
      events.getSubscribers().delete(failing);

      expect(response.status).toBe(500);
      expect(log.errors).toEqual([expect.stringContaining('no begin')]);
    });

    it.each<[string, NonNullable<HttpOptions['transaction']>, string]>([
      [
        'a wrong option',
        () => ({ readonly: true }) as object,
        'SessionModule has no option `http.transaction.readonly`',
      ],
      [
        'a promise',
        () => Promise.resolve({}) as object,
        'Expected `http.transaction` to return an object, got a promise',
      ],
    ])('answers %s with a 500', async (_name, transaction, message) => {
      http = { transaction };

      expect((await get('nothing')).status).toBe(500);
      expect(log.errors).toEqual([expect.stringContaining(message)]);
    });
  });
});

@Controller()
class PassingController {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @Get('passed/on')
  pass(@Next() next: () => void): void {
    this.session.create(Note, { text: 'first' });
    next();
  }

  @Get('passed/:to')
  take(): string {
    this.session.create(Note, { text: 'second' });
    return 'taken';
  }
}

describe('http.transaction over express', () => {
  it('is one for all routes that a request passes through', async () => {
    const database = await createTestDatabase();
    const app = await startTestApp({
      databaseUrl: database.url,
      session: { injection: 'contextual', http: { transaction: true } },
      controllers: [PassingController],
    });

    const answer = await fetch(`${app.url}/passed/on`).then((response) => response.text());

    expect(answer).toBe('taken');
    expect(await database.query('select text from note order by text')).toEqual([
      { text: 'first' },
      { text: 'second' },
    ]);
    await app.close();
    await database.drop();
  });
});
