import { EntityManager } from '@mikro-orm/postgresql';
import { type CanActivate, Controller, type ExecutionContext, Get, Injectable, Query, UseGuards } from '@nestjs/common';
import { JobService, type ScopeInfo, SessionContext, SessionFactory } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { platforms } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

interface RequestWithUser {
  readonly headers: { readonly authorization?: string };
  user?: { readonly tenant: string };
}

/** Finds the user first with a session of its own, as long as nobody knows the tenant. */
@Injectable()
class UserGuard implements CanActivate {
  constructor(private readonly factory: SessionFactory<EntityManager>) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<RequestWithUser>();
    request.user = await this.factory.run(async () => ({ tenant: request.headers.authorization ?? 'none' }), {
      info: { tenant: 'everybody' },
    });
    return true;
  }
}

/** Where a test and the handlers it calls meet. */
@Injectable()
class Stage {
  goOn = Promise.withResolvers<void>();
  late = Promise.withResolvers<ScopeInfo[]>();
}

@UseGuards(UserGuard)
@Controller()
class InfoController {
  constructor(
    private readonly context: SessionContext<EntityManager>,
    private readonly factory: SessionFactory<EntityManager>,
    private readonly jobs: JobService<EntityManager>,
    private readonly stage: Stage,
  ) {}

  private readonly infoHere = (): ScopeInfo => this.context.scope.info;

  @Get('everywhere')
  async everywhere(): Promise<unknown> {
    const callback = Promise.withResolvers<ScopeInfo>();
    this.context.onClose(() => callback.resolve(this.infoHere()));
    const [job] = await this.jobs.map([1], this.infoHere);
    const [nested] = await this.jobs.map([1], () => this.factory.begin(this.infoHere));
    const block = await this.factory.run(this.infoHere);
    await this.context.remove();
    return { request: this.infoHere(), job, nested, block, callback: await callback.promise };
  }

  @Get('others')
  async others(@Query('tenant') tenant: string): Promise<unknown> {
    const [job] = await this.jobs.map([1], this.infoHere, { info: { tenant } });
    const block = await this.factory.run(this.infoHere, { info: { reason: 'audit' } });
    return { job, block };
  }

  @Get('late')
  late(): void {
    void this.stage.goOn.promise
      .then(() => this.jobs.map([1], this.infoHere))
      .then(this.stage.late.resolve, this.stage.late.reject);
  }
}

describe.each(platforms)('the info of a scope over %s', (platform) => {
  let stage: Stage;

  const { app, database } = useTestApp({
    platform,
    session: {
      injection: 'contextual',
      http: { info: ({ user }: RequestWithUser) => ({ tenant: user?.tenant }) },
      fork: ({ info }) => ({ filterParams: { tenant: { tenant: info['tenant'] } } }),
      jobs: { info: { tenant: 'default of the jobs', source: 'jobs' } },
    },
    orm: { filters: { tenant: { cond: ({ tenant }) => ({ tenant }), entity: ['Note'] } } },
    controllers: [InfoController],
    providers: [Stage],
  });

  beforeAll(() => {
    stage = app.get(Stage);
  });

  const get = async (path: string, authorization: string): Promise<unknown> =>
    (await fetch(`${app.url}${path}`, { headers: { authorization } })).json();

  it('is what a guard has found out, and goes along with all that the request starts', async () => {
    const answer = await get('/everywhere', 'a');

    expect(answer).toEqual({
      request: { tenant: 'a' },
      job: { tenant: 'a', source: 'jobs' },
      nested: { tenant: 'a', source: 'jobs' },
      block: { tenant: 'a' },
      callback: { tenant: 'a' },
    });
  });

  it('can be told otherwise, or added to', async () => {
    const answer = await get('/others?tenant=b', 'a');

    expect(answer).toEqual({ job: { tenant: 'b', source: 'jobs' }, block: { tenant: 'a', reason: 'audit' } });
  });

  it('goes along with jobs that outlive the request', async () => {
    const response = await fetch(`${app.url}/late`, { headers: { authorization: 'a' } });
    await response.text();

    stage.goOn.resolve();

    expect(await stage.late.promise).toEqual([{ tenant: 'a', source: 'jobs' }]);
  });

  it('defaults to what the module and the factory say where nothing else is known', async () => {
    const context = app.get<SessionContext>(SessionContext);
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);
    factory.configure({ info: { tenant: 'default of the factory' } });

    const [job] = await app.get<JobService>(JobService).map([1], () => context.scope.info);
    const block = await factory.run(() => context.scope.info);

    expect([job, block]).toEqual([
      { tenant: 'default of the jobs', source: 'jobs' },
      { tenant: 'default of the factory' },
    ]);
  });

  it('adds filter parameters, and keeps the filters of the application', async () => {
    app.orm.em.addFilter({ name: 'text', cond: { text: 'x' }, entity: [Note] });
    await database.query(`insert into note (text, tenant) values ('x', 'a'), ('y', 'a'), ('x', 'b')`);

    const found = await app
      .get<SessionFactory<EntityManager>>(SessionFactory)
      .run((session) => session.find(Note, {}), {
        info: { tenant: 'a' },
        fork: { filterParams: { unrelated: { n: 1 } } },
      });

    expect(found.map(({ text, tenant }) => `${text}${tenant}`)).toEqual(['xa']);
  });
});
