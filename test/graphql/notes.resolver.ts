import { EntityManager, EntityRepository, MikroORM } from '@mikro-orm/postgresql';
import { InjectRepository } from '@mikro-orm/nestjs';
import {
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import {
  Args,
  Field,
  GqlExecutionContext,
  Int,
  Mutation,
  ObjectType,
  Parent,
  Query,
  ResolveField,
  Resolver,
} from '@nestjs/graphql';
import { InjectSession, type Scope, SessionContext } from 'nestjs-mikro-session';
import { map, type Observable } from 'rxjs';

import { Note } from '../support/note.entity.js';
import { NoteLoader } from './note-loader.js';

/** Collects which sessions each part of an operation got to see, by the label of its scope. */
@Injectable()
export class Sightings {
  readonly scopes = new Set<Scope>();
  readonly #seen = new Map<string, number[]>();

  constructor(private readonly context: SessionContext) {}

  note(place: string, ...sessions: readonly number[]): void {
    this.scopes.add(this.context.scope);
    this.#seen.set(place, [...(this.#seen.get(place) ?? []), ...sessions]);
  }

  take(): Record<string, number[]> {
    const seen = Object.fromEntries(this.#seen);
    this.#seen.clear();
    this.scopes.clear();
    return seen;
  }
}

/** Tells which session each batch was loaded with. */
@Injectable()
export class WatchedNoteLoader extends NoteLoader {
  @Inject()
  private readonly orm!: MikroORM;

  @Inject()
  private readonly sightings!: Sightings;

  protected override loadAll(ids: readonly number[]): Promise<Note[]> {
    this.sightings.note('dataloader', this.orm.em.id);
    return super.loadAll(ids);
  }
}

@Injectable()
export class NotesService {
  constructor(
    @InjectSession() readonly session: EntityManager,
    @InjectRepository(Note) private readonly notes: EntityRepository<Note>,
    private readonly em: EntityManager,
    private readonly orm: MikroORM,
    private readonly context: SessionContext<EntityManager>,
  ) {}

  get ids(): number[] {
    const { session, notes, em, orm, context } = this;
    return [session.id, notes.getEntityManager().id, em.id, orm.em.id, context.current.id];
  }
}

@Injectable()
class WitnessGuard implements CanActivate {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly sightings: Sightings,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    const { fieldName } = GqlExecutionContext.create(context).getInfo<{ fieldName: string }>();
    this.sightings.note(`guard of ${fieldName}`, this.session.id);
    return true;
  }
}

@Injectable()
class WitnessInterceptor implements NestInterceptor {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly sightings: Sightings,
  ) {}

  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    this.sightings.note('interceptor before', this.session.id);
    return next.handle().pipe(
      map((value: unknown) => {
        this.sightings.note('interceptor after', this.session.id);
        return value;
      }),
    );
  }
}

@ObjectType('Note')
class NoteModel {
  @Field(() => Int)
  id!: number;

  @Field(() => String)
  text!: string;
}

@Resolver(() => NoteModel)
export class NotesResolver {
  constructor(
    private readonly service: NotesService,
    private readonly loader: NoteLoader,
    private readonly sightings: Sightings,
    private readonly context: SessionContext<EntityManager>,
    @InjectSession() private readonly session: EntityManager,
  ) {}

  @Query(() => [NoteModel])
  @UseGuards(WitnessGuard)
  @UseInterceptors(WitnessInterceptor)
  async notes(): Promise<Note[]> {
    this.sightings.note('query', this.session.id, ...this.service.ids);
    return this.session.find(Note, {}, { orderBy: { text: 'asc' } });
  }

  @Query(() => Int)
  sessionId(): number {
    return this.session.id;
  }

  @Query(() => String)
  label(): string {
    return `${this.context.scope.kind}: ${this.context.scope.label}`;
  }

  @ResolveField(() => Int)
  @UseGuards(WitnessGuard)
  async length(@Parent() note: Note): Promise<number> {
    this.sightings.note('field', this.session.id, ...this.service.ids);
    const [row] = await this.session.execute<{ length: number }[]>('select length(?) as length', [note.text]);
    return row?.length ?? 0;
  }

  @ResolveField(() => String)
  async loaded(@Parent() note: Note): Promise<string> {
    const loaded = await this.loader.load(note.id);
    this.sightings.note('loaded', this.session.id);
    return loaded === note ? 'the same entity' : 'another entity';
  }

  @ResolveField(() => NoteModel)
  async again(@Parent() note: Note): Promise<Note> {
    return this.session.findOneOrFail(Note, note.id);
  }

  @Mutation(() => Int)
  async add(@Args('text') text: string): Promise<number> {
    this.session.create(Note, { text });
    await this.session.flush();
    return this.session.id;
  }

  /** Adds without a flush: the next mutation of the operation may do that. */
  @Mutation(() => Int)
  persist(@Args('text') text: string): number {
    this.session.create(Note, { text });
    return this.session.id;
  }
}
