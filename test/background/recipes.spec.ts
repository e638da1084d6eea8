import { EntityManager } from '@mikro-orm/postgresql';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { BullModule, getQueueToken, Processor, WorkerHost } from '@nestjs/bullmq';
import { Injectable, Module, type OnModuleInit } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { Cron, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import type { Job, Queue } from 'bullmq';
import { InjectSession, InSession, SessionContext, SessionFactory, SessionModule } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { findTexts } from '../support/find-texts.js';
import { noLiveScope } from '../support/no-live-scope.js';
import { Note } from '../support/note.entity.js';
import { ormOptions, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { useBackend } from './queue-backends.js';

@Injectable()
class Ledger {
  constructor(private readonly context: SessionContext<EntityManager>) {}

  @InSession({ transaction: true })
  async book(text: string): Promise<void> {
    this.context.current.create(Note, { text }); // committed on return, rolled back on throw
  }
}

@Processor('mail', { concurrency: 5 })
class MailProcessor extends WorkerHost {
  constructor(@InjectSession() private readonly session: EntityManager) {
    super();
  }

  async process(job: Job<{ text: string }>): Promise<void> {
    this.session.create(Note, { text: job.data.text });
    await this.session.flush();
  }
}

@Injectable()
class Cleaner {
  constructor(private readonly em: EntityManager) {}

  @Cron('0 3 * * *')
  @InSession({ transaction: true })
  async clean(): Promise<void> {
    await this.em.nativeDelete(Note, { text: 'old' });
  }
}

@Injectable()
class Listeners {
  constructor(private readonly em: EntityManager) {}

  @OnEvent('user.created')
  async welcome(text: string): Promise<void> {
    await this.em.persist(this.em.create(Note, { text })).flush();
  }

  @OnEvent('user.created')
  @InSession({ propagation: 'join' }) // the session and the transaction of the emitter
  async audit(text: string): Promise<void> {
    await this.em.persist(this.em.create(Note, { text })).flush();
  }
}

@Injectable()
class Seeder implements OnModuleInit {
  constructor(private readonly context: SessionContext<EntityManager>) {}

  @InSession({ transaction: true })
  async onModuleInit(): Promise<void> {
    this.context.current.create(Note, { text: 'first' });
  }
}

describe('docs/places on what runs outside of requests', () => {
  let database: TestDatabase;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    const { options } = useBackend('postgresql', database.url);
    app = await startTestApp({
      databaseUrl: database.url,
      imports: [
        BullModule.forRoot(options),
        BullModule.registerQueue({ name: 'mail' }),
        EventEmitterModule.forRoot(),
        ScheduleModule.forRoot(),
      ],
      providers: [Ledger, MailProcessor, Cleaner, Listeners],
    });
  });

  afterEach(async () => {
    await noLiveScope(app);
    await database.query('delete from note');
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const texts = (): Promise<string[]> => findTexts(database);

  it('commits a method', async () => {
    await app.get<Ledger>(Ledger).book('a');

    expect(await texts()).toEqual(['a']);
  });

  it('runs a job', async () => {
    await app.get<Queue>(getQueueToken('mail')).add('welcome', { text: 'a' });

    await database.until('select count(*) > 0 from note');
    expect(await texts()).toEqual(['a']);
  });

  it('runs a tick', async () => {
    await database.query(`insert into note (text) values ('old'), ('new')`);
    const [job] = app.get<SchedulerRegistry>(SchedulerRegistry).getCronJobs().values();

    await job?.fireOnTick();

    await database.until('select count(*) = 1 from note');
    expect(await texts()).toEqual(['new']);
  });

  it('calls the listeners, one of them in the transaction of the emitter', async () => {
    const begun = app.get<SessionFactory>(SessionFactory).begin(async () => {
      await app.get<EventEmitter2>(EventEmitter2).emitAsync('user.created', 'a');
      throw new Error('no');
    });

    await expect(begun).rejects.toThrow('no');
    expect(await texts()).toEqual(['a']);
  });

  it('runs a script', async () => {
    using _log = new CapturedLog();

    @Module({
      imports: [MikroOrmModule.forRoot(ormOptions(database.url)), SessionModule.forRoot()],
      providers: [Seeder],
    })
    class AppModule {}

    const app = await NestFactory.createApplicationContext(AppModule);
    await app.get(SessionFactory).begin((session) => session.create(Note, { text: 'second' }));
    await app.close();

    expect(await texts()).toEqual(['first', 'second']);
  });
});
