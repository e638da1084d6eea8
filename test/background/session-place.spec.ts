import { EventEmitter, once } from 'node:events';

import { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable, type OnModuleInit, Scope } from '@nestjs/common';
import {
  type PlaceScopeOptions,
  type Scope as SessionScope,
  SessionContext,
  SessionFactory,
  SessionPlace,
  type SessionScopes,
  SessionSetupError,
} from 'nestjs-mikro-session';

import { noLiveScope } from '../support/no-live-scope.js';
import { Note } from '../support/note.entity.js';
import { injections, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

interface Mail {
  readonly id: number;
  readonly tenant: string;
  readonly text: string;
}

type Deliver = (mail: Mail) => Promise<void>;

/** What a package of somebody else would bring: it calls the code of the application. */
@Injectable()
class Inbox {
  deliver: Deliver = async () => {};
}

@Injectable()
class Archive {
  readonly seen: unknown[] = [];

  constructor(
    private readonly em: EntityManager,
    private readonly context: SessionContext<EntityManager>,
  ) {}

  async store({ text }: Mail): Promise<void> {
    const { kind, label, info } = this.context.scope;
    this.seen.push({ kind, label, tenant: info['tenant'], isInTransaction: this.em.isInTransaction() });
    this.em.create(Note, { text });
    await this.em.flush();
  }
}

@Injectable()
@SessionPlace()
class InboxPlace implements SessionPlace {
  scope: SessionScope | undefined;
  answered: number | undefined;
  /** Answers at once, and keeps its scope until the connection closes. */
  listen: (connection: EventEmitter) => Promise<number> = async () => 0;

  constructor(
    private readonly inbox: Inbox,
    private readonly archive: Archive,
    private readonly context: SessionContext<EntityManager>,
  ) {}

  install(scopes: SessionScopes): void {
    this.listen = (connection) => {
      const answer = Promise.withResolvers<number>();
      const run = scopes.run({ kind: 'message', label: 'connection' }, async () => {
        this.scope = this.context.scope;
        this.answered = await this.context.current.count(Note);
        answer.resolve(this.answered);
        await once(connection, 'close');
      });
      run.catch(answer.reject);
      return answer.promise;
    };
    this.inbox.deliver = (mail) =>
      scopes.run({ kind: 'message', label: `mail ${mail.id}`, info: { tenant: mail.tenant }, origin: { mail } }, () =>
        this.archive.store(mail),
      );
  }
}

describe.each(injections)('a place of the application, with %s injection', (injection) => {
  let database: TestDatabase;
  let app: TestApp;
  let inbox: Inbox;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      session: { injection },
      providers: [Inbox, Archive, InboxPlace],
    });
    inbox = app.get(Inbox);
  });

  beforeEach(() => app.get<Archive>(Archive).seen.splice(0));

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  it('gives each call a session of its own, isolated from a transaction of the caller', async () => {
    const begun = app.get<SessionFactory<EntityManager>>(SessionFactory).begin(async () => {
      await inbox.deliver({ id: 7, tenant: 'b', text: 'hello' });
      throw new Error('no');
    });

    await expect(begun).rejects.toThrow('no');
    expect(app.get<Archive>(Archive).seen).toEqual([
      { kind: 'message', label: 'mail 7', tenant: 'b', isInTransaction: false },
    ]);
    expect(await database.query("select text from note where text = 'hello'")).toHaveLength(1);
    await noLiveScope(app);
  });

  it('keeps a scope open until the event that its work waits for', async () => {
    const connection = new EventEmitter();
    const place = app.get<InboxPlace>(InboxPlace);

    const answer = await place.listen(connection);

    expect(place.scope).toMatchObject({ state: 'open', label: 'connection' });
    expect(answer).toBe(place.answered);
    connection.emit('close');
    await noLiveScope(app);
    expect(place.scope?.state).toBe('closed');
  });
});

describe('a place', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  it('is installed before any module is initialised', async () => {
    const installed: string[] = [];

    @Injectable()
    class Early implements OnModuleInit {
      onModuleInit(): void {
        installed.push('onModuleInit');
      }
    }

    @Injectable()
    @SessionPlace()
    class Place implements SessionPlace {
      install(): void {
        installed.push('install');
      }
    }

    const { app } = await startTestApp({ databaseUrl: database.url, providers: [Early, Place] });
    await app.close();

    expect(installed).toEqual(['install', 'onModuleInit']);
  });

  it('is refused where it is made for each request', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {}

    @Injectable()
    @SessionPlace()
    class Place implements SessionPlace {
      constructor(@Inject(PerRequest) readonly perRequest: PerRequest) {}

      install(): void {}
    }

    const started = startTestApp({ databaseUrl: database.url, providers: [PerRequest, Place] });

    await expect(started).rejects.toThrow(SessionSetupError);
    await expect(started).rejects.toThrow('"Place" has @SessionPlace(), but is request-scoped');
  });

  it.each([
    [{ kind: 'request', label: 'a' }, 'Expected `kind` to be '],
    [{ kind: 'event', label: '' }, 'Expected `label` to be '],
    [{ kind: 'event', label: 'a', transaction: true }, 'SessionScopes.run() has no option `transaction`.'],
  ])('cannot open a scope with %j', async (options, message) => {
    let run: (() => Promise<unknown>) | undefined;

    @Injectable()
    @SessionPlace()
    class Place implements SessionPlace {
      install(scopes: SessionScopes): void {
        run = () => scopes.run(options as unknown as PlaceScopeOptions, async () => {});
      }
    }

    const { app } = await startTestApp({ databaseUrl: database.url, providers: [Place] });
    await app.close();

    expect(() => run?.()).toThrow(message);
  });
});
