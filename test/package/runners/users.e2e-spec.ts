// Runs in each of the runners as it stands: with globals, and the assertions of Node.js.
import 'reflect-metadata';

import assert from 'node:assert/strict';

import type { EntityManager } from '@mikro-orm/postgresql';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { Entity, PrimaryKey, Property } from '@mikro-orm/decorators/legacy';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { Controller, Get, type INestApplication, Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { InjectSession, SessionModule } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';
import { SessionTesting } from 'nestjs-mikro-session/testing';
import request from 'supertest';

@Entity()
class User {
  @PrimaryKey({ type: 'integer' })
  id!: number;

  @Property({ type: 'text' })
  name!: string;
}

@Injectable()
class UsersService {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async names(): Promise<string[]> {
    const users = await this.session.find(User, {});
    return users.map(({ name }) => name);
  }
}

@Injectable()
@JobHandler({ queue: 'new-users' })
class AddUser {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handle(name: string): Promise<void> {
    this.session.create(User, { name });
  }
}

@Controller('users')
class UsersController {
  constructor(private readonly users: UsersService) {}

  @Get()
  names(): Promise<string[]> {
    return this.users.names();
  }
}

const orm = { driver: PostgreSqlDriver, clientUrl: process.env['DATABASE_URL']!, entities: [User] };

describe('an application', () => {
  let app: INestApplication;
  let testing: SessionTesting<EntityManager>;
  let drop: () => Promise<void>;

  beforeAll(async () => {
    const database = await SessionTesting.database({ orm, migrate: (made) => made.schema.create() });
    drop = () => database.drop();

    @Module({
      imports: [MikroOrmModule.forRoot(database.orm), SessionModule.forRoot(), JobQueueModule.forRoot({ work: false })],
      controllers: [UsersController],
      providers: [UsersService, AddUser],
    })
    class AppModule {}

    const module = await Test.createTestingModule({ imports: [AppModule] }).compile();
    app = await module.createNestApplication().init();
    testing = await SessionTesting.create<EntityManager>(app);
  }, 60_000);

  afterAll(async () => {
    await app.close();
    await drop();
  });

  beforeEach(() => testing.begin());

  afterEach(() => testing.rollBack());

  it('sees what the test has written', async () => {
    await testing.run(async (session) => session.create(User, { name: 'Ada' }));

    await request(app.getHttpServer()).get('/users').expect(200, ['Ada']);
  });

  it('sees nothing of the test before', async () => {
    const users = await testing.resolve(UsersService);

    assert.deepEqual(await users.names(), []);
  });

  it('runs a durable job that the test has sent', async () => {
    await testing.run(() => app.get(JobQueue).send('new-users', 'Ada'));

    const { attempts } = await testing.drain('new-users');

    assert.deepEqual(
      attempts.map(({ status }) => status),
      ['fulfilled'],
    );
    await request(app.getHttpServer()).get('/users').expect(200, ['Ada']);
  });
});
