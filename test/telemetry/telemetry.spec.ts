import type { Server } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, Injectable } from '@nestjs/common';
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { InjectSession, JobService, SessionContext, SessionFactory } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { injections, platforms, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { CollectedTelemetry } from './collected-telemetry.js';

/** The scope has nothing left to wait for: it ends within this turn of the event loop. */
const theScopeEnds = nextTurn;

/** Where a test and the handlers it calls meet. */
@Injectable()
class Stage {
  closed = Promise.withResolvers<void>();
}

@Injectable()
class CountWorker {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly factory: SessionFactory<EntityManager>,
  ) {}

  async handle(): Promise<void> {
    await this.session.count(Note);
    await this.factory.run((session) => session.count(Note), { label: 'count again' });
  }
}

@Controller('traced')
class TracedController {
  constructor(
    private readonly context: SessionContext<EntityManager>,
    private readonly factory: SessionFactory<EntityManager>,
    private readonly jobs: JobService<EntityManager>,
    private readonly stage: Stage,
    @InjectSession() private readonly session: EntityManager,
  ) {}

  @Get()
  async get(): Promise<void> {
    await this.session.count(Note);
    this.context.onClose(() => this.stage.closed.resolve());
    await this.jobs.map([1], CountWorker);
    await trace.getTracer('application').startActiveSpan('own span', async (span) => {
      await this.factory.begin((session) => session.count(Note));
      span.end();
    });
  }
}

@Controller('unused')
class UnusedController {
  @Get()
  get(): boolean {
    return trace.getActiveSpan() !== undefined;
  }
}

describe.each(platforms)('telemetry over %s', (platform) => {
  describe.each(injections)('with %s injection', (injection) => {
    const telemetry = new CollectedTelemetry();
    let database: TestDatabase;
    let app: TestApp;
    let stage: Stage;
    let jobs: JobService<EntityManager>;
    let factory: SessionFactory<EntityManager>;

    beforeAll(async () => {
      telemetry.start();
      database = await createTestDatabase();
      app = await startTestApp({
        databaseUrl: database.url,
        platform,
        session: { injection },
        controllers: [TracedController, UnusedController],
        providers: [Stage, CountWorker],
        configure: (started) => telemetry.traceServer(started.getHttpServer() as Server),
      });
      stage = app.get(Stage);
      jobs = app.get(JobService);
      factory = app.get(SessionFactory);
    });

    beforeEach(() => {
      Object.assign(stage, new Stage());
      telemetry.forget();
    });

    afterAll(async () => {
      await app.close();
      await telemetry.stop();
      await database.drop();
    });

    it('draws a request, its jobs and their blocks as one trace', async () => {
      await fetch(`${app.url}/traced`).then((response) => response.text());
      await stage.closed.promise;
      await theScopeEnds();

      expect(telemetry.tree()).toEqual({
        HTTP: {
          'session of request': { 'process CountWorker': { 'count again': {} } },
          'own span': { 'SessionFactory.begin': {} },
          onClose: {},
        },
      });
      expect(new Set(telemetry.spans.map((span) => span.spanContext().traceId)).size).toBe(1);
    });

    it('makes no span for a request without a session', async () => {
      const answer = await fetch(`${app.url}/unused`).then((response) => response.json());

      expect(answer).toBe(true);
      expect(telemetry.spans.map(({ name }) => name).filter((name) => name !== 'HTTP')).toEqual([]);
    });

    it('names things as OpenTelemetry does', async () => {
      const { hostname, port, pathname } = new URL(database.url);

      await jobs.map([1], CountWorker);

      expect(telemetry.spans.find(({ name }) => name === 'process CountWorker')).toMatchObject({
        kind: SpanKind.CONSUMER,
        attributes: {
          'db.system.name': 'postgresql',
          'db.namespace': pathname.slice(1),
          'server.address': hostname,
          'server.port': Number(port),
          'messaging.system': 'nestjs-mikro-session',
          'messaging.operation.name': 'process',
          'messaging.operation.type': 'process',
          'messaging.destination.name': 'CountWorker',
          'messaging.message.id': expect.any(String),
          'mikro_session.scope.kind': 'job',
          'mikro_session.scope.label': 'job 0 of CountWorker',
          'mikro_session.scope.ending': 'returned',
        },
      });
    });

    it('tells what a job failed with', async () => {
      await jobs.settle([1], function fail() {
        throw new RangeError('on purpose');
      });

      expect(telemetry.spans).toMatchObject([
        {
          name: 'process fail',
          status: { code: SpanStatusCode.ERROR, message: 'on purpose' },
          attributes: { 'error.type': 'RangeError', 'mikro_session.scope.ending': 'threw' },
          events: [{ name: 'exception' }],
        },
      ]);
    });

    it('tells that the time of a job was up', async () => {
      await jobs.settle([1], (session) => session.execute('select pg_sleep(60)'), { label: 'work', timeout: 50 });

      expect(telemetry.spans).toMatchObject([
        { name: 'process work', attributes: { 'mikro_session.scope.ending': 'timedOut' } },
      ]);
    });

    it('keeps the trace of the caller across the task boundary, and makes the span of a job the active one', async () => {
      const tracer = trace.getTracer('application');

      await tracer.startActiveSpan('caller', async (span) => {
        await jobs.map([1], () => tracer.startActiveSpan('within', (inner) => inner.end()), { label: 'work' });
        span.end();
      });

      expect(telemetry.tree()).toEqual({ caller: { 'process work': { within: {} } } });
    });

    it('has a span for a session that its maker closes', async () => {
      {
        await using session = factory.create({ label: 'script' });
        await session.count(Note);
        expect(telemetry.spans).toEqual([]);
      }

      expect(telemetry.spans).toMatchObject([
        { name: 'script', attributes: { 'mikro_session.scope.ending': 'disposed', 'db.system.name': 'postgresql' } },
      ]);
    });

    it('counts the connections of the pool, under the names of OpenTelemetry', async () => {
      const held = await factory.begin(async (session) => {
        await session.count(Note);
        return telemetry.counter('db.client.connection.count', 'db.client.connection.state');
      });
      const max = await telemetry.counter('db.client.connection.max', 'db.client.connection.pool.name');
      const pending = await telemetry.counter(
        'db.client.connection.pending_requests',
        'db.client.connection.pool.name',
      );

      expect(held['used']).toBe(1);
      expect(max).toEqual({ default: 5 });
      expect(pending).toEqual({ default: 0 });
    });

    it('counts the scopes that have a session open', async () => {
      const count = (): Promise<Record<string, number>> =>
        telemetry.counter('mikro_session.scope.open', 'mikro_session.scope.kind');

      const during = await factory.run(() =>
        jobs.map([1, 2], (_session, n) => (n === 1 ? count() : undefined), { concurrency: 1 }),
      );
      const after = await count();

      expect(during[0]).toMatchObject({ run: 1, job: 1 });
      expect(after).toMatchObject({ run: 0, job: 0 });
    });
  });
});
