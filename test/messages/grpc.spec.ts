import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { EntityManager } from '@mikro-orm/postgresql';
import { Controller } from '@nestjs/common';
import {
  type ClientGrpcProxy,
  ClientProxyFactory,
  GrpcMethod,
  type GrpcOptions,
  GrpcStreamMethod,
  Transport,
} from '@nestjs/microservices';
import { InjectSession, SessionContext, SessionRegistry } from 'nestjs-mikro-session';
import { concat, concatMap, firstValueFrom, from, lastValueFrom, map, NEVER, type Observable, of, toArray } from 'rxjs';

import { Note } from '../support/note.entity.js';
import { injections, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { Actor, Stage } from './support/message-stage.js';

interface Text {
  readonly text: string;
}

interface Added {
  readonly session: number;
  readonly count: number;
}

interface NotesClient {
  add(text: Text): Observable<Added>;
  fail(text: Text): Observable<Added>;
  wait(text: Text): Observable<Added>;
  list(text: Partial<Text>): Observable<Text>;
  endless(text: Partial<Text>): Observable<Text>;
  addAll(texts: Observable<Text>): Observable<Added>;
}

@Controller()
class NotesController {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly actor: Actor,
    private readonly context: SessionContext<EntityManager>,
    private readonly stage: Stage,
  ) {}

  @GrpcMethod('Notes')
  async add({ text }: Text): Promise<Added> {
    this.stage.arrived.resolve({ session: this.context.current, scope: this.context.scope });
    this.session.create(Note, { text });
    await this.session.flush();
    return { session: this.session.id, count: await this.session.count(Note) };
  }

  @GrpcMethod('Notes')
  async fail(): Promise<never> {
    await this.actor.begin();
    throw new Error('on purpose');
  }

  @GrpcMethod('Notes')
  async wait(): Promise<Added> {
    await this.actor.begin();
    await this.actor.waitAndUse();
    return { session: 0, count: 0 };
  }

  @GrpcMethod('Notes')
  list(): Observable<Text> {
    this.stage.arrived.resolve({ session: this.context.current, scope: this.context.scope });
    return from(['a', 'b', 'c']).pipe(
      concatMap(async (text) => {
        this.session.create(Note, { text });
        await this.session.flush();
        return { text: `${text} of ${await this.session.count(Note)}` };
      }),
    );
  }

  @GrpcMethod('Notes')
  async endless(): Promise<Observable<Text>> {
    await this.actor.begin();
    return concat(of({ text: 'first' }), NEVER);
  }

  @GrpcStreamMethod('Notes')
  addAll(texts: Observable<Text>): Observable<Added> {
    return texts.pipe(
      concatMap(({ text }) => this.session.insert(Note, { text })),
      toArray(),
      map(({ length: count }) => ({ session: this.session.id, count })),
    );
  }
}

describe.each(injections)('a gRPC service, with %s injection', (injection) => {
  let database: TestDatabase;
  let app: TestApp;
  let folder: string;
  let client: ClientGrpcProxy;
  let notes: NotesClient;
  let stage: Stage;

  beforeAll(async () => {
    database = await createTestDatabase();
    folder = await mkdtemp(join(tmpdir(), 'grpc-'));
    const options = {
      package: 'notes',
      protoPath: fileURLToPath(new URL('support/notes.proto', import.meta.url)),
      url: `unix:${folder}/socket`,
    };
    app = await startTestApp({
      databaseUrl: database.url,
      session: { injection },
      controllers: [NotesController],
      providers: [Stage, Actor],
      configure: (nest) => nest.connectMicroservice<GrpcOptions>({ transport: Transport.GRPC, options }),
    });
    await app.app.startAllMicroservices();
    stage = app.get(Stage);
    client = ClientProxyFactory.create({ transport: Transport.GRPC, options });
    notes = client.getService<NotesClient>('Notes');
  });

  beforeEach(async () => {
    stage.reset();
    await database.query('delete from note');
  });

  afterAll(async () => {
    client.close();
    await app.close();
    await rm(folder, { recursive: true });
    await database.drop();
  });

  it('has a session for each call', async () => {
    const answers = await Promise.all(['a', 'b', 'c'].map((text) => lastValueFrom(notes.add({ text }))));

    expect(new Set(answers.map(({ session }) => session)).size).toBe(3);
    expect(await database.query('select text from note order by text')).toEqual([
      { text: 'a' },
      { text: 'b' },
      { text: 'c' },
    ]);
  });

  it('names the scope after the call, and has ended it when the answer is there', async () => {
    await lastValueFrom(notes.add({ text: 'a' }));

    const { scope } = await stage.arrived.promise;
    expect(scope).toMatchObject({
      kind: 'message',
      label: 'message {"service":"Notes","rpc":"Add","streaming":"no_stream"} (gRPC)',
      state: 'closed',
      info: { data: { text: 'a' } },
    });
  });

  it('rolls back when the method fails', async () => {
    await expect(lastValueFrom(notes.fail({ text: '' }))).rejects.toThrow('UNKNOWN');

    const { session } = await stage.arrived.promise;
    expect(() => session.clear()).toThrow('it had thrown');
    expect(await database.query('select * from note')).toEqual([]);
    expect(await database.countOpenTransactions()).toBe(0);
  });

  it('keeps the session while a stream of answers goes on, and ends it then', async () => {
    const texts = await lastValueFrom(notes.list({}).pipe(toArray()));

    expect(texts).toEqual([{ text: 'a of 1' }, { text: 'b of 2' }, { text: 'c of 3' }]);
    const { session } = await stage.arrived.promise;
    expect(() => session.clear()).toThrow('it had returned');
  });

  it('ends the session when the client leaves a stream', async () => {
    await firstValueFrom(notes.endless({}));

    await stage.closed.promise;
    const { session, scope } = await stage.arrived.promise;
    expect(scope.signal.aborted).toBe(true);
    expect(() => session.clear()).toThrow('its client had disconnected');
  });

  it('tells a method that its client has left', async () => {
    const call = notes.wait({ text: '' }).subscribe({ error() {} });
    const { scope } = await stage.arrived.promise;
    const aborted = new Promise((resolve) => scope.signal.addEventListener('abort', resolve, { once: true }));

    call.unsubscribe();

    await aborted;
    stage.goOn.resolve();
    await stage.closed.promise;
    expect(scope.signal.reason).toMatchObject({ name: 'AbortError' });
  });

  it('has one session for a stream of requests', async () => {
    const { session, count } = await lastValueFrom(notes.addAll(from(['a', 'b'].map((text) => ({ text })))));

    expect({ session, count }).toEqual({ session: expect.any(Number), count: 2 });
    expect(await database.query('select text from note order by id')).toEqual([{ text: 'a' }, { text: 'b' }]);
  });

  it('leaves no scope behind', () => {
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
  });
});
