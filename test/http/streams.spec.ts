import { AsyncResource } from 'node:async_hooks';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';

import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, Injectable, type MessageEvent, Sse, StreamableFile } from '@nestjs/common';
import { InjectSession, type Scope, SessionClosedError, SessionContext, SessionRegistry } from 'nestjs-mikro-session';
import { concatMap, from, map, type Observable, ReplaySubject, Subject } from 'rxjs';

import { ANSWERS_OF_GENERATORS } from '../support/answers-of-generators.js';
import { Note } from '../support/note.entity.js';
import { describeSince } from '../support/since.js';
import { injections, platforms } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

/** Where a test and the handlers it calls meet. */
@Injectable()
class Stage {
  ticks = new ReplaySubject<string>();
  liveTicks = new Subject<string>();
  arrived = Promise.withResolvers<{ readonly session: EntityManager; readonly scope: Scope }>();
  closed = Promise.withResolvers<void>();
}

@Controller()
class StreamController {
  constructor(
    private readonly stage: Stage,
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext<EntityManager>,
  ) {}

  @Sse('events')
  events(): Observable<MessageEvent> {
    const { ticks } = this.stage;
    this.arrive();
    // Who emits decides where the operators run: binding brings them back to this request.
    const add = AsyncResource.bind((text: string) => this.add(text));
    return ticks.pipe(concatMap((text) => from(add(text)).pipe(map((data) => ({ data })))));
  }

  @Sse('unbound-events')
  unboundEvents(): Observable<MessageEvent> {
    this.arrive();
    return this.stage.liveTicks.pipe(concatMap((text) => from(this.add(text)).pipe(map((data) => ({ data })))));
  }

  @Sse('late-events')
  async lateEvents(): Promise<Observable<MessageEvent>> {
    await this.session.count(Note);
    return this.events();
  }

  @Get('file')
  file(): StreamableFile {
    this.arrive();
    return new StreamableFile(Readable.from(this.lines()));
  }

  @Get('rows')
  async *rows(): AsyncGenerator<string, void> {
    this.arrive();
    yield* this.lines();
  }

  private async *lines(): AsyncGenerator<string, void> {
    for await (const { text } of this.session.stream(Note, { orderBy: { id: 'asc' } })) {
      yield `${text}\n`;
    }
    yield `${await this.session.count(Note)} rows`;
  }

  private async add(text: string): Promise<string> {
    this.session.create(Note, { text });
    await this.session.flush();
    return `${await this.session.count(Note)} notes`;
  }

  private arrive(): void {
    const { current: session, scope } = this.context;
    this.context.onClose(() => this.stage.closed.resolve());
    this.stage.arrived.resolve({ session, scope });
  }
}

describe.each(platforms)('a streamed response over %s', (platform) => {
  describe.each(injections)('with %s injection', (injection) => {
    let stage: Stage;

    const { app, database } = useTestApp({
      platform,
      session: { injection },
      controllers: [StreamController],
      providers: [Stage],
    });

    beforeAll(() => {
      app.app.useLogger(false);
      stage = app.get(Stage);
    });

    beforeEach(async () => {
      await database.query('delete from note');
      Object.assign(stage, new Stage());
    });

    afterEach(() => {
      expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
    });

    const untilNothingIsHeld = (): Promise<void> =>
      database.until(
        `select count(*) = 0 from pg_stat_activity
         where datname = current_database() and (state = 'active' or state like 'idle in%') and pid <> pg_backend_pid()`,
      );

    /** Reads the body until it contains a text, and gives what was read. */
    async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, text: string): Promise<string> {
      let read = '';
      while (!read.includes(text)) {
        const { done, value } = await reader.read();
        if (done) {
          throw new Error(`The response ended before ${text}: ${read}`);
        }
        read += new TextDecoder().decode(value);
      }
      return read;
    }

    describe.each(['events', 'late-events'])('@Sse() /%s', (path) => {
      it('has its session as long as it is open, closed when it completes', async () => {
        const response = await fetch(`${app.url}/${path}`);
        const reader = response.body!.getReader();
        const { session, scope } = await stage.arrived.promise;

        stage.ticks.next('a');
        await readUntil(reader, '1 notes');
        stage.ticks.next('b');
        await readUntil(reader, '2 notes');
        expect(scope.state).toBe('open');
        stage.ticks.complete();
        await stage.closed.promise;

        expect(() => session.clear()).toThrow(SessionClosedError);
        expect(await reader.read()).toMatchObject({ done: true });
      });

      it('has its session closed when the client goes away', async () => {
        const leave = new AbortController();
        const response = await fetch(`${app.url}/${path}`, { signal: leave.signal });
        const reader = response.body!.getReader();
        const { session, scope } = await stage.arrived.promise;
        stage.ticks.next('a');
        await readUntil(reader, '1 notes');

        leave.abort();
        await stage.closed.promise;

        expect(stage.ticks.observed).toBe(false);
        expect(scope.signal.aborted).toBe(true);
        expect(() => session.clear()).toThrow('its client had disconnected');
      });

      it('keeps to the sessions of two clients at once', async () => {
        const readers = await Promise.all(
          [1, 2].map(async () => (await fetch(`${app.url}/${path}`)).body!.getReader()),
        );
        stage.ticks.next('x');
        const texts = await Promise.all(readers.map((reader) => readUntil(reader, 'notes')));
        stage.ticks.complete();
        await stage.closed.promise;

        expect(texts).toEqual([expect.stringContaining('notes'), expect.stringContaining('notes')]);
        expect(await database.query('select text from note')).toEqual([{ text: 'x' }, { text: 'x' }]);
      });
    });

    it('refuses the session to operators that run where the event was emitted, when they are not bound', async () => {
      const response = await fetch(`${app.url}/unbound-events`);
      await stage.arrived.promise;

      stage.liveTicks.next('a');

      expect(await response.text()).toContain('event: error');
      expect(await database.query('select * from note')).toEqual([]);
      await stage.closed.promise;
    });

    const readsRows = (path: string): void => {
      it('reads rows through the session while it is sent', async () => {
        await database.query(`insert into note (text) select 'note ' || n from generate_series(1, 5000) n`);

        const body = await fetch(`${app.url}/${path}`).then((response) => response.text());
        await stage.closed.promise;

        const lines = body.split('\n');
        expect(lines).toHaveLength(5001);
        expect([lines.at(0), lines.at(-2), lines.at(-1)]).toEqual(['note 1', 'note 5000', '5000 rows']);
      });

      it('stops reading and closes the session when the client goes away', async () => {
        await database.query(`insert into note (text) select repeat('x', 1000) from generate_series(1, 20000) n`);
        const request = httpRequest(`${app.url}/${path}`).end();
        request.on('error', () => undefined);
        const [response] = (await once(request, 'response')) as [Readable];
        await once(response, 'readable');
        const { session } = await stage.arrived.promise;

        request.destroy();
        await stage.closed.promise;
        await untilNothingIsHeld();

        expect(() => session.clear()).toThrow('its client had disconnected');
      });
    };

    describe('/file', () => {
      readsRows('file');
    });

    describeSince('@nestjs/core', ANSWERS_OF_GENERATORS)('/rows', () => {
      readsRows('rows');
    });
  });
});
