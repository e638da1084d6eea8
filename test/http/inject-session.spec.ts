import { EntityManager, EntityRepository, MikroORM } from '@mikro-orm/postgresql';
import { InjectRepository, MikroOrmModule } from '@mikro-orm/nestjs';
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
  type MiddlewareConsumer,
  Module,
  type NestInterceptor,
  type NestMiddleware,
  Param,
  type PipeTransform,
  Post,
  UseFilters,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { InjectSession, SessionContext } from 'nestjs-mikro-session';
import { map, type Observable } from 'rxjs';

import { Note } from '../support/note.entity.js';
import { injections, platforms } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

type Seen = Record<string, number>;

/** Collects what each part of one request got to see. */
class Sightings {
  readonly #byScope = new Map<string, Seen>();

  of(scope: string): Seen {
    const seen = this.#byScope.get(scope) ?? {};
    this.#byScope.set(scope, seen);
    return seen;
  }
}

@Injectable()
class Witness {
  constructor(
    @InjectSession() readonly session: EntityManager,
    private readonly context: SessionContext,
    private readonly sightings: Sightings,
  ) {}

  note(place: string): Seen {
    const seen = this.sightings.of(this.context.scope.id);
    seen[place] = this.session.id;
    return seen;
  }
}

@Injectable()
class WitnessMiddleware implements NestMiddleware {
  constructor(private readonly witness: Witness) {}

  use(_request: unknown, _response: unknown, next: () => void): void {
    this.witness.note('middleware');
    next();
  }
}

@Injectable()
class WitnessGuard implements CanActivate {
  constructor(private readonly witness: Witness) {}

  canActivate(): boolean {
    this.witness.note('guard');
    return true;
  }
}

@Injectable()
class WitnessPipe implements PipeTransform {
  constructor(private readonly witness: Witness) {}

  transform(value: string): string {
    this.witness.note('pipe');
    return value;
  }
}

@Injectable()
class WitnessInterceptor implements NestInterceptor {
  constructor(private readonly witness: Witness) {}

  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    this.witness.note('interceptor before');
    return next.handle().pipe(map(() => this.witness.note('interceptor after')));
  }
}

@Injectable()
@Catch(BadRequestException)
class WitnessFilter implements ExceptionFilter {
  constructor(
    private readonly witness: Witness,
    private readonly host: HttpAdapterHost,
  ) {}

  catch(_error: unknown, host: ArgumentsHost): void {
    this.host.httpAdapter.reply(host.switchToHttp().getResponse(), this.witness.note('filter'), 400);
  }
}

@Injectable()
class NotesService {
  constructor(
    @InjectSession() readonly session: EntityManager,
    @InjectRepository(Note) readonly notes: EntityRepository<Note>,
    readonly em: EntityManager,
    readonly orm: MikroORM,
    private readonly context: SessionContext<EntityManager>,
  ) {}

  identities(): Seen {
    return {
      service: this.session.id,
      repository: this.notes.getEntityManager().id,
      entityManager: this.em.id,
      orm: this.orm.em.id,
      context: this.context.current.id,
    };
  }

  async identitiesInTransaction(): Promise<Seen> {
    return this.session.transactional(async (transaction) => ({ transaction: transaction.id, ...this.identities() }));
  }

  async write(text: string): Promise<string[]> {
    this.session.create(Note, { text });
    await this.session.flush();
    return (await this.notes.find({ text })).map((note) => note.text);
  }
}

@Controller('notes')
@UseGuards(WitnessGuard)
@UseInterceptors(WitnessInterceptor)
@UseFilters(WitnessFilter)
class NotesController {
  constructor(
    private readonly witness: Witness,
    private readonly service: NotesService,
    @InjectSession() private readonly session: EntityManager,
  ) {}

  @Get('seen/:id')
  seen(@Param('id', WitnessPipe) _id: string): void {
    Object.assign(this.witness.note('controller'), this.service.identities(), { handler: this.session.id });
  }

  @Get('fails')
  fails(): never {
    throw new BadRequestException();
  }

  @Post('seen')
  created(): void {
    Object.assign(this.witness.note('controller'), this.service.identities());
  }
}

@Controller('transaction')
class TransactionController {
  constructor(private readonly service: NotesService) {}

  @Get()
  seen(): Promise<Seen> {
    return this.service.identitiesInTransaction();
  }

  @Post(':text')
  async write(@Param('text') text: string): Promise<{ session: number; texts: string[] }> {
    return { session: this.service.session.id, texts: await this.service.write(text) };
  }
}

@Module({
  imports: [MikroOrmModule.forFeature([Note])],
  controllers: [NotesController, TransactionController],
  providers: [Sightings, Witness, NotesService],
})
class NotesModule {
  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(WitnessMiddleware).forRoutes('notes/*path');
  }
}

describe.each(platforms)('@InjectSession() over %s', (platform) => {
  describe.each(injections)('with %s injection', (injection) => {
    const { app } = useTestApp({
      platform,
      session: { injection },
      imports: [NotesModule],
    });

    const getSeen = async (path: string, init?: RequestInit): Promise<Seen> =>
      (await fetch(`${app.url}${path}`, init)).json() as Promise<Seen>;

    it('gives one session to every part of a request', async () => {
      const seen = await getSeen('/notes/seen/1');

      expect(Object.keys(seen).toSorted()).toEqual(
        [
          'middleware',
          'guard',
          'interceptor before',
          'pipe',
          'controller',
          'service',
          'repository',
          'entityManager',
          'orm',
          'context',
          'handler',
          'interceptor after',
        ].toSorted(),
      );
      expect(new Set(Object.values(seen)).size).toBe(1);
    });

    it('gives the same session to an exception filter', async () => {
      const seen = await getSeen('/notes/fails');

      expect(Object.keys(seen)).toEqual(['middleware', 'guard', 'interceptor before', 'filter']);
      expect(new Set(Object.values(seen)).size).toBe(1);
    });

    it('keeps the session across the parsing of a body', async () => {
      const seen = await getSeen('/notes/seen', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ large: 'x'.repeat(90_000) }),
      });

      expect(seen).toMatchObject({ middleware: expect.any(Number), controller: expect.any(Number) });
      expect(new Set(Object.values(seen)).size).toBe(1);
    });

    it('gives another session to every other request', async () => {
      const seen = await Promise.all(Array.from({ length: 20 }, () => getSeen('/notes/seen/1')));

      expect(new Set(seen.map(({ handler }) => handler)).size).toBe(20);
    });

    it('reaches the open transaction in every way', async () => {
      const seen = await getSeen('/transaction');

      expect(Object.keys(seen)).toHaveLength(6);
      expect(new Set(Object.values(seen)).size).toBe(1);
    });

    it('lets 200 requests at once write and read their own rows', async () => {
      const texts = Array.from({ length: 200 }, (_, i) => `note ${i}`);

      const answers = await Promise.all(
        texts.map(async (text) => {
          const response = await fetch(`${app.url}/transaction/${text}`, { method: 'POST' });
          return (await response.json()) as { session: number; texts: string[] };
        }),
      );

      expect(answers.map((answer) => answer.texts)).toEqual(texts.map((text) => [text]));
      expect(new Set(answers.map(({ session }) => session)).size).toBe(200);
    });
  });
});
