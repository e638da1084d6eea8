import { AsyncLocalStorage } from 'node:async_hooks';

import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Injectable, Post } from '@nestjs/common';
import { InjectSession, JobService, SessionContext, SessionFactory } from 'nestjs-mikro-session';
import { ClsModule, ClsService } from 'nestjs-cls';

import { Note } from '../support/note.entity.js';
import { injections, platforms } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

type Seen = Record<string, readonly (string | undefined)[]>;

/** What an application may have of its own, beside the context of a library. */
@Injectable()
class OwnStorage extends AsyncLocalStorage<string> {}

@Injectable()
class BothContexts {
  constructor(
    private readonly cls: ClsService,
    private readonly own: OwnStorage,
    private readonly context: SessionContext,
  ) {}

  /** The label tells that the place has a scope of its own as well. */
  readonly look = (): readonly (string | undefined)[] => [
    this.cls.getId(),
    this.own.getStore(),
    this.context.tryScope?.kind,
  ];
}

@Injectable()
class LookingWorker {
  constructor(
    private readonly both: BothContexts,
    @InjectSession() private readonly session: EntityManager,
  ) {}

  async handle(): Promise<readonly (string | undefined)[]> {
    await this.session.count(Note);
    return this.both.look();
  }
}

@Controller()
class ContextController {
  constructor(
    private readonly both: BothContexts,
    private readonly own: OwnStorage,
    private readonly jobs: JobService<EntityManager>,
    private readonly factory: SessionFactory<EntityManager>,
    private readonly context: SessionContext<EntityManager>,
  ) {}

  @Post()
  post(): Promise<Seen> {
    return this.own.run('own', async () => {
      const callbacks = [Promise.withResolvers<Seen[string]>(), Promise.withResolvers<Seen[string]>()] as const;
      const [job = []] = await this.jobs.map([1], LookingWorker);
      const run = await this.factory.run(async (session) => {
        await session.count(Note);
        return this.both.look();
      });
      const begin = await this.factory.begin(async (session) => {
        session.create(Note, { text: 'x' });
        this.context.afterCommit(() => callbacks[0].resolve(this.both.look()));
        this.context.onClose(() => callbacks[1].resolve(this.both.look()));
        return this.both.look();
      });
      const [afterCommit, onClose] = await Promise.all(callbacks.map(({ promise }) => promise));
      return { request: this.both.look(), job, run, begin, afterCommit: afterCommit!, onClose: onClose! };
    });
  }
}

describe.each(platforms)('the context of another library over %s', (platform) => {
  describe.each(injections)('with %s injection', (injection) => {
    const { app } = useTestApp({
      platform,
      session: { injection },
      imports: [
        ClsModule.forRoot({
          global: true,
          middleware: {
            mount: true,
            generateId: true,
            idGenerator: ({ headers }: { readonly headers: Record<string, string> }) => headers['x-id'] ?? '',
          },
        }),
      ],
      controllers: [ContextController],
      providers: [OwnStorage, BothContexts, LookingWorker],
    });

    it('survives into requests, jobs, blocks and callbacks', async () => {
      const answers = await Promise.all(
        ['1', '2', '3', '4', '5'].map(async (id) => {
          const response = await fetch(app.url, { method: 'POST', headers: { 'x-id': id } });
          return (await response.json()) as Seen;
        }),
      );

      expect(answers).toEqual(
        ['1', '2', '3', '4', '5'].map((id) => ({
          request: [id, 'own', 'request'],
          job: [id, 'own', 'job'],
          run: [id, 'own', 'run'],
          begin: [id, 'own', 'begin'],
          afterCommit: [id, 'own', 'callback'],
          onClose: [id, 'own', 'callback'],
        })),
      );
    });
  });
});
