import { Transactional } from '@mikro-orm/decorators/legacy';
import { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { Controller, Inject, Injectable, Param, Post } from '@nestjs/common';
import {
  InjectSession,
  InSession,
  JobService,
  SessionContext,
  SessionFactory,
  SessionRegistry,
} from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { injections, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

/** What one method in a transaction got to see: the transaction, by every way to it. */
interface Seen {
  readonly label: string;
  readonly isOne: boolean;
  readonly isOpen: boolean;
}

abstract class Books {
  constructor(
    readonly context: SessionContext<EntityManager>,
    readonly entities: EntityManager,
    readonly mikro: MikroORM,
  ) {}

  protected async enter(text: string): Promise<Seen> {
    this.context.current.create(Note, { text });
    const seen = [this.context.current, this.entities, this.mikro.em];
    if (text === 'fail') {
      await this.context.current.flush();
      throw new Error('no');
    }
    return {
      label: this.context.scope.label,
      isOne: new Set(seen.map(({ id }) => id)).size === 1,
      isOpen: seen.every((em) => em.isInTransaction()),
    };
  }
}

@Injectable()
class WithEm extends Books {
  constructor(
    @Inject(SessionContext) context: SessionContext<EntityManager>,
    private readonly em: EntityManager,
    mikro: MikroORM,
  ) {
    super(context, em, mikro);
  }

  @Transactional()
  async book(text: string): Promise<Seen> {
    return this.enter(text);
  }

  @InSession()
  @Transactional()
  async below(text: string): Promise<Seen> {
    return this.enter(text);
  }

  @Transactional()
  @InSession()
  async above(text: string): Promise<Seen> {
    return this.enter(text);
  }

  async inline(text: string): Promise<Seen> {
    return this.em.transactional(() => this.enter(text));
  }
}

@Injectable()
class WithoutEm extends Books {
  constructor(
    @Inject(SessionContext) context: SessionContext<EntityManager>,
    entities: EntityManager,
    mikro: MikroORM,
  ) {
    super(context, entities, mikro);
  }

  @Transactional()
  async book(text: string): Promise<Seen> {
    return this.enter(text);
  }

  @InSession()
  @Transactional()
  async below(text: string): Promise<Seen> {
    return this.enter(text);
  }
}

@Injectable()
class WithSession extends Books {
  constructor(
    @InjectSession() readonly em: EntityManager,
    @Inject(SessionContext) context: SessionContext<EntityManager>,
    entities: EntityManager,
    mikro: MikroORM,
  ) {
    super(context, entities, mikro);
  }

  @Transactional()
  async book(text: string): Promise<Seen> {
    return this.enter(text);
  }
}

@Injectable()
class Outer {
  constructor(
    private readonly withEm: WithEm,
    private readonly withoutEm: WithoutEm,
    @Inject(SessionContext) private readonly context: SessionContext<EntityManager>,
  ) {}

  @InSession()
  async inScope(): Promise<Seen[]> {
    return [await this.withEm.book('a'), await this.withoutEm.book('b'), await this.withEm.inline('c')];
  }

  @InSession({ transaction: true })
  async inTransaction(): Promise<boolean[]> {
    const { id } = this.context.current;
    const seen: boolean[] = [];
    for (const books of [this.withEm, this.withoutEm]) {
      await books.book('a');
      seen.push(this.context.current.id === id);
    }
    throw Object.assign(new Error('no'), { seen });
  }
}

@Controller()
class BooksController {
  constructor(
    private readonly withEm: WithEm,
    private readonly withoutEm: WithoutEm,
    private readonly withSession: WithSession,
  ) {}

  @Post('controller')
  @Transactional()
  async transaction(): Promise<Seen> {
    return this.withEm.inline('own');
  }

  @Post('em/:text')
  async withProperty(@Param('text') text: string): Promise<Seen> {
    return this.withEm.book(text);
  }

  @Post(':text')
  async book(@Param('text') text: string): Promise<Seen[]> {
    return [
      await this.withEm.book(text),
      await this.withoutEm.book(text),
      await this.withSession.book(text),
      await this.withEm.inline(text),
    ];
  }
}

describe.each(injections)('@Transactional() of MikroORM with %s injection', (injection) => {
  let database: TestDatabase;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      session: { injection },
      controllers: [BooksController],
      providers: [WithEm, WithoutEm, WithSession, Outer],
    });
  });

  afterEach(async () => {
    await database.query('delete from note');
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const count = async (): Promise<number> => (await database.query('select id from note')).length;
  const seenIn = (label: string): Seen => ({ label, isOne: true, isOpen: true });

  it('joins the session of a request', async () => {
    const seen = await fetch(`${app.url}/a`, { method: 'POST' }).then((response) => response.json());

    expect(seen).toEqual(Array(4).fill(seenIn('POST /a')));
    expect(await count()).toBe(4);
  });

  it('joins it in a controller, which has no EntityManager', async () => {
    const seen = await fetch(`${app.url}/controller`, { method: 'POST' }).then((response) => response.json());

    expect(seen).toEqual(seenIn('POST /controller'));
    expect(await count()).toBe(1);
  });

  it('rolls back in a request', async () => {
    using log = new CapturedLog();

    const { status } = await fetch(`${app.url}/fail`, { method: 'POST' });

    expect([status, log.errors]).toEqual([500, ['Error: no']]);
    expect(await count()).toBe(0);
  });

  it('joins the session of a job', async () => {
    const [withEm, withoutEm] = [app.get<WithEm>(WithEm), app.get<WithoutEm>(WithoutEm)];

    const seen = await app
      .get<JobService>(JobService)
      .map(['a'], async (_session, text) => [await withEm.book(text), await withoutEm.book(text)], {
        transaction: 'none',
        label: 'books',
      });

    expect(seen).toEqual([[seenIn('job 0 of books'), seenIn('job 0 of books')]]);
    expect(await count()).toBe(2);
  });

  it('joins the session of @InSession()', async () => {
    const seen = await app.get<Outer>(Outer).inScope();

    expect(seen).toEqual(Array(3).fill(seenIn('Outer.inScope')));
    expect(await count()).toBe(3);
  });

  it('joins the transaction of @InSession()', async () => {
    const booked = app.get<Outer>(Outer).inTransaction();

    await expect(booked).rejects.toMatchObject({ message: 'no', seen: [true, true] });
    expect(await count()).toBe(0);
  });

  it('stands above an @InSession() of the same method where a scope is open', async () => {
    const seen = await app.get<SessionFactory>(SessionFactory).run(() => app.get<WithEm>(WithEm).above('a'));

    expect(seen).toEqual(seenIn('SessionFactory.run'));
    expect(await count()).toBe(1);
  });

  it('stands below an @InSession() of the same method', async () => {
    const seen = [await app.get<WithEm>(WithEm).below('a'), await app.get<WithoutEm>(WithoutEm).below('b')];

    expect(seen).toEqual([seenIn('WithEm.below'), seenIn('WithoutEm.below')]);
    expect(await count()).toBe(2);
  });
});

describe('@Transactional() of MikroORM without the RequestContext of @mikro-orm/nestjs', () => {
  it('joins the session of a request, with a property `em` of its class and without', async () => {
    const database = await createTestDatabase();
    const app = await startTestApp({
      databaseUrl: database.url,
      orm: { registerRequestContext: false } as object,
      controllers: [BooksController],
      providers: [WithEm, WithoutEm, WithSession],
    });

    const post = (path: string): Promise<unknown> =>
      fetch(`${app.url}/${path}`, { method: 'POST' }).then((response) => response.json());
    const seenIn = (label: string): Seen => ({ label, isOne: true, isOpen: true });

    const seen = [await post('em/a'), await post('a')];

    expect(seen).toEqual([seenIn('POST /em/a'), Array(4).fill(seenIn('POST /a'))]);
    await app.close();
    await database.drop();
  });
});
