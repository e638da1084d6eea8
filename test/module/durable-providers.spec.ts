import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, Inject, Injectable, Module, Scope, type Type } from '@nestjs/common';
import { type ContextId, ContextIdFactory, type HostComponentInfo, REQUEST } from '@nestjs/core';
import { InjectSession, SessionContext, SessionSetupError } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

interface Tenant {
  readonly tenant: string;
}

const subTrees = new Map<string, ContextId>();

/** Makes durable providers once per tenant, as the documentation of NestJS does. */
const strategy = {
  attach(contextId: ContextId, request: { readonly headers?: Readonly<Record<string, string>> }) {
    const tenant = request.headers?.['x-tenant'] ?? 'nobody';
    const subTree = subTrees.get(tenant) ?? ContextIdFactory.create();
    subTrees.set(tenant, subTree);
    return {
      resolve: (info: HostComponentInfo) => (info.isTreeDurable ? subTree : contextId),
      payload: { tenant },
    };
  },
};

/** How often durable providers were made. */
let made = 0;

abstract class TenantNotes {
  protected abstract readonly session: EntityManager;

  constructor(readonly tenant: string) {
    made += 1;
  }

  async add(): Promise<number> {
    this.session.create(Note, { text: this.tenant });
    await this.session.flush();
    return this.session.count(Note, { text: this.tenant });
  }
}

@Injectable({ scope: Scope.REQUEST, durable: true })
class InjectedNotes extends TenantNotes {
  constructor(
    @Inject(REQUEST) { tenant }: Tenant,
    @InjectSession() protected readonly session: EntityManager,
  ) {
    super(tenant);
  }
}

@Injectable({ scope: Scope.REQUEST, durable: true })
class ContextNotes extends TenantNotes {
  constructor(
    @Inject(REQUEST) { tenant }: Tenant,
    private readonly context: SessionContext<EntityManager>,
  ) {
    super(tenant);
  }

  protected get session(): EntityManager {
    return this.context.current;
  }
}

@Injectable({ scope: Scope.REQUEST, durable: true })
class EntityManagerNotes extends TenantNotes {
  constructor(
    @Inject(REQUEST) { tenant }: Tenant,
    protected readonly session: EntityManager,
  ) {
    super(tenant);
  }
}

@Injectable()
class Repository {
  constructor(@InjectSession() readonly session: EntityManager) {}
}

@Injectable({ scope: Scope.REQUEST, durable: true })
class RepositoryNotes extends TenantNotes {
  protected readonly session: EntityManager;

  constructor(@Inject(REQUEST) { tenant }: Tenant, { session }: Repository) {
    super(tenant);
    this.session = session;
  }
}

@Injectable({ scope: Scope.REQUEST, durable: true })
class AnyNotes extends TenantNotes {
  constructor(@InjectSession() protected readonly session: EntityManager) {
    super('any');
  }
}

function moduleOf(notes: Type<TenantNotes>): Type {
  @Controller()
  class NotesController {
    constructor(@Inject(notes) private readonly own: TenantNotes) {}

    @Get()
    async add(): Promise<string> {
      return `${this.own.tenant} ${await this.own.add()}`;
    }
  }

  @Module({ controllers: [NotesController], providers: [notes, Repository] })
  class NotesModule {}

  return NotesModule;
}

describe('durable providers', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
    ContextIdFactory.apply(strategy);
  });

  beforeEach(() => {
    made = 0;
  });

  afterAll(async () => {
    ContextIdFactory.apply(undefined as never);
    await database.drop();
  });

  const start = (injection: 'request' | 'contextual', notes: Type<TenantNotes>): Promise<TestApp> =>
    startTestApp({ databaseUrl: database.url, session: { injection }, imports: [moduleOf(notes)] });

  it.each([
    ['contextual', InjectedNotes],
    ['contextual', RepositoryNotes],
    ['contextual', ContextNotes],
    ['request', ContextNotes],
    ['request', EntityManagerNotes],
  ] as const)('have the session of each request, with %s injection and %p', async (injection, notes) => {
    const { app, url } = await start(injection, notes);
    const answers: string[] = [];
    for (const tenant of ['a', 'b', 'a', 'b', 'a']) {
      const response = await fetch(url, { headers: { 'x-tenant': tenant } });
      answers.push(await response.text());
    }
    await app.close();

    expect(answers).toEqual(['a 1', 'b 1', 'a 2', 'b 2', 'a 3']);
    expect(made).toBe(2);
  });

  it.each([InjectedNotes, RepositoryNotes])(
    'are refused at start where they would keep the session of a request: %p',
    async (notes) => {
      const started = start('request', notes);

      await expect(started).rejects.toThrow(SessionSetupError);
      await expect(started).rejects.toThrow(`"${notes.name}" is a durable provider, which NestJS makes once for many`);
    },
  );

  it('are made for each request, and allowed, where no strategy is applied', async () => {
    ContextIdFactory.apply(undefined as never);
    const { app, url } = await start('request', AnyNotes);
    const answers = [await (await fetch(url)).text(), await (await fetch(url)).text()];
    await app.close();
    ContextIdFactory.apply(strategy);

    expect(answers).toEqual(['any 1', 'any 2']);
    expect(made).toBe(2);
  });
});
