import { EntityManager } from '@mikro-orm/postgresql';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { Inject, Injectable, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  getJobServiceToken,
  getSessionContextToken,
  getSessionFactoryToken,
  InjectSession,
  InSession,
  JobService,
  SessionContext,
  SessionFactory,
  SessionModule,
  SessionRegistry,
} from 'nestjs-mikro-session';
import { JobQueue } from 'nestjs-mikro-session/pg-boss';

import { ormOptions } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

@Injectable()
class WithSession {
  constructor(@InjectSession() readonly session: EntityManager) {}
}

@Injectable()
class WithFactory {
  constructor(readonly factory: SessionFactory) {}
}

@Injectable()
class WithContext {
  constructor(readonly context: SessionContext) {}
}

@Injectable()
class WithRegistry {
  constructor(readonly registry: SessionRegistry) {}
}

@Injectable()
class WithJobs {
  constructor(readonly jobs: JobService) {}
}

@Injectable()
class WithQueue {
  constructor(readonly queue: JobQueue) {}
}

@Injectable()
class ReportsSession {
  constructor(@InjectSession('reports') readonly session: EntityManager) {}
}

@Injectable()
class ReportsFactory {
  constructor(@Inject(getSessionFactoryToken('reports')) readonly factory: SessionFactory) {}
}

@Injectable()
class ReportsContext {
  constructor(@Inject(getSessionContextToken('reports')) readonly context: SessionContext) {}
}

@Injectable()
class ReportsJobs {
  constructor(@Inject(getJobServiceToken('reports')) readonly jobs: JobService) {}
}

@Injectable()
class ReportsMethod {
  @InSession({ contextName: 'reports' })
  async run(): Promise<void> {}
}

const compile = (...providers: Type[]): Promise<unknown> => Test.createTestingModule({ providers }).compile();

describe('an application without SessionModule', () => {
  it.each([WithSession, WithFactory, WithContext, WithRegistry, WithJobs])(
    'is told to import it by %p',
    async (provider) => {
      await expect(compile(provider)).rejects.toThrow('SessionModule.forRoot()');
    },
  );

  it('is told to import JobQueueModule where it wants its queue', async () => {
    await expect(compile(WithQueue)).rejects.toThrow('JobQueueModule.forRoot()');
  });
});

describe('an application without SessionModule for one of its connections', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  it.each([ReportsSession, ReportsFactory, ReportsContext, ReportsJobs])(
    'is told to import it by %p',
    async (provider) => {
      const compiling = Test.createTestingModule({
        imports: [MikroOrmModule.forRoot(ormOptions(database.url)), SessionModule.forRoot()],
        providers: [provider],
      }).compile();

      await expect(compiling).rejects.toThrow("SessionModule.forRoot({ contextName: 'reports' })");
    },
  );

  it('is told to import it by a method with @InSession()', async () => {
    const module = await Test.createTestingModule({
      imports: [MikroOrmModule.forRoot(ormOptions(database.url)), SessionModule.forRoot()],
      providers: [ReportsMethod],
    }).compile();

    await expect(module.get(ReportsMethod).run()).rejects.toThrow('add SessionModule for "reports" to the imports');
    await module.close();
  });
});
