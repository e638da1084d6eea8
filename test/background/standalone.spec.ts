import { EntityManager } from '@mikro-orm/postgresql';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Module,
  type ModuleMetadata,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { InSession, SessionContext, SessionFactory, SessionModule, SessionRegistry } from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { injections, ormOptions, startTestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

/** A script: its work is a method. */
@Injectable()
class Seeder {
  constructor(
    @Inject(SessionContext) private readonly context: SessionContext<EntityManager>,
    @Inject(SessionFactory) private readonly factory: SessionFactory<EntityManager>,
  ) {}

  @InSession({ transaction: true })
  async seed(...texts: string[]): Promise<string> {
    texts.forEach((text) => this.context.current.create(Note, { text }));
    return this.context.scope.label;
  }

  async seedByHand(text: string): Promise<string> {
    return this.factory.begin(
      (session) => {
        session.create(Note, { text });
        return this.context.scope.label;
      },
      { label: 'seed by hand' },
    );
  }

  async count(): Promise<number> {
    return this.factory.run((session) => session.count(Note));
  }
}

@Injectable()
class Hooks
  implements OnModuleInit, OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown, OnApplicationShutdown
{
  constructor(
    @Inject(SessionContext) private readonly context: SessionContext<EntityManager>,
    @Inject(SessionFactory) private readonly factory: SessionFactory<EntityManager>,
  ) {}

  @InSession({ transaction: true })
  async onModuleInit(): Promise<void> {
    this.write(this.context.current);
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.factory.begin((session) => this.write(session), { label: 'Hooks.onApplicationBootstrap' });
  }

  @InSession({ transaction: true })
  async onModuleDestroy(): Promise<void> {
    this.write(this.context.current);
  }

  @InSession({ transaction: true })
  async beforeApplicationShutdown(): Promise<void> {
    this.write(this.context.current);
  }

  @InSession({ transaction: true })
  async onApplicationShutdown(): Promise<void> {
    this.write(this.context.current);
  }

  private write(session: EntityManager): void {
    session.create(Note, { text: this.context.scope.label });
  }
}

describe.each(injections)('A standalone application with %s injection', (injection) => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
    const app = await startTestApp({ databaseUrl: database.url });
    await app.close();
  });

  afterEach(() => database.query('delete from note'));

  afterAll(() => database.drop());

  const texts = (): Promise<string[]> => findTexts(database);
  const imports = (): NonNullable<ModuleMetadata['imports']> => [
    MikroOrmModule.forRoot(ormOptions(database.url)),
    SessionModule.forRoot({ injection }),
  ];

  it('has sessions for its methods and blocks', async () => {
    @Module({ imports: imports(), providers: [Seeder] })
    class Script {}
    const app = await NestFactory.createApplicationContext(Script, { logger: false });
    const seeder = app.get(Seeder);

    expect(await seeder.seed('a', 'b')).toBe('Seeder.seed');
    expect(await seeder.seedByHand('c')).toBe('seed by hand');
    expect(await seeder.count()).toBe(3);
    expect(await texts()).toEqual(['a', 'b', 'c']);
    expect(app.get(SessionRegistry).list()).toEqual([]);
    await app.close();
  });

  it('has them in the hooks of its lifecycle, from the first to the last', async () => {
    @Module({ imports: imports(), providers: [Hooks] })
    class Service {}
    const app = await NestFactory.createApplicationContext(Service, { logger: false });

    expect(await texts()).toEqual(['Hooks.onModuleInit', 'Hooks.onApplicationBootstrap']);
    await app.close();
    expect((await texts()).slice(2)).toEqual([
      'Hooks.onModuleDestroy',
      'Hooks.beforeApplicationShutdown',
      'Hooks.onApplicationShutdown',
    ]);
  });
});
