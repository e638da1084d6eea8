import { EntityManager } from '@mikro-orm/postgresql';
import {
  type ArgumentsHost,
  BadRequestException,
  type CallHandler,
  type CanActivate,
  Catch,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  Get,
  Injectable,
  type NestInterceptor,
  type PipeTransform,
  Query,
  Scope,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE, HttpAdapterHost } from '@nestjs/core';
import { InjectSession, SessionContext } from 'nestjs-mikro-session';
import { type Observable } from 'rxjs';

import { itSince } from '../support/since.js';
import { injections, platforms, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

/** Collects the places that had the session of the current scope injected. */
@Injectable()
class Places {
  seen: string[] = [];

  constructor(private readonly context: SessionContext<EntityManager>) {}

  visit(place: string, session: EntityManager): void {
    // Contextual injection has one object for all, which answers as the current session.
    this.seen.push(session.id === this.context.current.id ? place : `${place}: another session`);
  }
}

@Injectable()
class SessionGuard implements CanActivate {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly places: Places,
  ) {}

  canActivate(): boolean {
    this.places.visit('guard', this.session);
    return true;
  }
}

@Injectable()
class SessionInterceptor implements NestInterceptor {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly places: Places,
  ) {}

  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    this.places.visit('interceptor', this.session);
    return next.handle();
  }
}

@Injectable()
class SessionPipe implements PipeTransform {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly places: Places,
  ) {}

  transform(value: unknown): unknown {
    this.places.visit('pipe', this.session);
    return value;
  }
}

@Catch(BadRequestException)
class SessionFilter implements ExceptionFilter {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly places: Places,
    private readonly host: HttpAdapterHost,
  ) {}

  catch(_error: unknown, host: ArgumentsHost): void {
    this.places.visit('filter', this.session);
    this.host.httpAdapter.reply(host.switchToHttp().getResponse(), this.places.seen, 400);
  }
}

@Controller()
class FailingController {
  @Get()
  fail(@Query('q') _q: string): never {
    throw new BadRequestException();
  }
}

const enhancers = [
  [APP_GUARD, SessionGuard],
  [APP_INTERCEPTOR, SessionInterceptor],
  [APP_PIPE, SessionPipe],
  [APP_FILTER, SessionFilter],
] as const;

const REFUSED_ENHANCERS = {
  version: '11.2.8',
  reason: 'An earlier NestJS runs a global enhancer whose dependencies are request-scoped with nothing in their place.',
};

describe.each(platforms)('a global enhancer over %s', (platform) => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  const start = (injection: (typeof injections)[number], scope: Scope): Promise<TestApp> =>
    startTestApp({
      databaseUrl: database.url,
      platform,
      session: { injection },
      controllers: [FailingController],
      providers: [Places, ...enhancers.map(([provide, useClass]) => ({ provide, useClass, scope }))],
    });

  it.each([
    ['request', Scope.REQUEST],
    ['contextual', Scope.DEFAULT],
    ['contextual', Scope.REQUEST],
  ] as const)('has the session of the request with %s injection and the scope %d', async (injection, scope) => {
    const app = await start(injection, scope);

    const seen = await fetch(`${app.url}/?q=1`).then((response) => response.json());

    expect(seen).toEqual(['guard', 'interceptor', 'pipe', 'filter']);
    await app.close();
  });

  itSince('@nestjs/core', REFUSED_ENHANCERS)(
    'is refused at start by NestJS with request injection when it has no scope of its own',
    async () => {
      await expect(start('request', Scope.DEFAULT)).rejects.toThrow(
        'depends on a request-scoped provider, so it would run with its dependencies undefined.',
      );
    },
  );
});
