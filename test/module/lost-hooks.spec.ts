import { EntityManager } from '@mikro-orm/postgresql';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import {
  type BeforeApplicationShutdown,
  type CanActivate,
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type OnModuleInit,
  Scope,
  type Type,
  UseGuards,
} from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { InjectSession, SessionFactory, SessionModule } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { injections, ormOptions } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

@Injectable()
class Notes implements OnModuleInit {
  constructor(@InjectSession() readonly session: EntityManager) {}

  onModuleInit(): void {}
}

@Injectable()
class EveryHook
  implements OnModuleInit, OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown, OnApplicationShutdown
{
  @InjectSession() readonly session!: EntityManager;

  onModuleInit(): void {}
  onApplicationBootstrap(): void {}
  onModuleDestroy(): void {}
  beforeApplicationShutdown(): void {}
  onApplicationShutdown(): void {}
}

class Base implements OnModuleDestroy {
  onModuleDestroy(): void {}
}

@Injectable()
class Repository {
  constructor(@InjectSession() readonly session: EntityManager) {}
}

@Injectable()
class Service extends Base {
  constructor(readonly repository: Repository) {
    super();
  }
}

@Injectable()
class SessionGuard implements CanActivate {
  constructor(@InjectSession() readonly session: EntityManager) {}

  canActivate(): boolean {
    return true;
  }
}

@Controller()
@UseGuards(SessionGuard)
class Guarded implements OnApplicationBootstrap {
  @Get()
  get(): void {}

  onApplicationBootstrap(): void {}
}

@Injectable()
class WithFactory implements OnModuleInit {
  constructor(readonly factory: SessionFactory) {}

  onModuleInit(): void {}
}

@Injectable()
class WithoutHook {
  constructor(readonly repository: Repository) {}
}

@Injectable({ scope: Scope.REQUEST })
class ScopedByUser implements OnModuleInit {
  constructor(@InjectSession() readonly session: EntityManager) {}

  onModuleInit(): void {}
}

@Injectable()
class ScopedByRequest implements OnModuleInit {
  constructor(
    @Inject(REQUEST) readonly request: unknown,
    readonly repository: Repository,
  ) {}

  onModuleInit(): void {}
}

describe('a class that a session makes request-scoped', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  async function findWarnings(
    injection: (typeof injections)[number],
    { providers = [], controllers = [] }: { readonly providers?: Type[]; readonly controllers?: Type[] },
  ): Promise<string[]> {
    @Module({ providers, controllers })
    class Feature {}
    const module = await Test.createTestingModule({
      imports: [MikroOrmModule.forRoot(ormOptions(database.url)), SessionModule.forRoot({ injection }), Feature],
    }).compile();
    using log = new CapturedLog();
    await module.init();
    await module.close();
    return log.warnings;
  }

  it('is warned of at start, with the hook that NestJS does not call and what to do', async () => {
    const warnings = await findWarnings('request', { providers: [Notes] });

    expect(warnings).toEqual([
      'NestJS does not call onModuleInit() of "Notes": its @InjectSession() makes it request-scoped. Move what the hook ' +
        'does to a class that injects no session, where SessionFactory.run() and @InSession() open one, or give ' +
        "SessionModule the option `injection: 'contextual'`.",
    ]);
  });

  it('is warned of with all of its hooks', async () => {
    const warnings = await findWarnings('request', { providers: [EveryHook] });

    expect(warnings).toEqual([
      expect.stringContaining(
        'does not call onModuleInit(), onApplicationBootstrap(), onModuleDestroy(), beforeApplicationShutdown(), ' +
          'onApplicationShutdown() of "EveryHook"',
      ),
    ]);
  });

  it('is warned of where the session is in what it injects, or in what guards it', async () => {
    const warnings = await findWarnings('request', { providers: [Service, Repository], controllers: [Guarded] });

    expect(warnings).toEqual([
      expect.stringContaining(
        'onApplicationBootstrap() of "Guarded": "SessionGuard", which it injects, makes it request-scoped.',
      ),
      expect.stringContaining(
        'onModuleDestroy() of "Service": "Repository", which it injects, makes it request-scoped.',
      ),
    ]);
  });

  it.each([
    ['it has no hook', [WithoutHook, Repository]],
    ['there is no session in it', [WithFactory]],
    ['the user has chosen that scope', [ScopedByUser]],
    ['it injects the request as well', [ScopedByRequest, Repository]],
  ])('is not warned of where %s', async (_why, providers) => {
    expect(await findWarnings('request', { providers })).toEqual([]);
  });

  it('is none with contextual injection', async () => {
    const options = { providers: [Notes, EveryHook, Service, Repository], controllers: [Guarded] };

    expect(await findWarnings('contextual', options)).toEqual([]);
  });
});
