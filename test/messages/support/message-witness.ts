import { InjectRepository } from '@mikro-orm/nestjs';
import { EntityManager, EntityRepository, MikroORM } from '@mikro-orm/postgresql';
import {
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  type PipeTransform,
} from '@nestjs/common';
import { InjectSession, type Scope, SessionContext } from 'nestjs-mikro-session';
import { map, type Observable } from 'rxjs';

import { Note } from '../../support/note.entity.js';

/** The sessions that the parts of one message got to see. */
export type Seen = Record<string, number | string>;

@Injectable()
export class Sightings {
  readonly #byScope = new WeakMap<Scope, Seen>();

  of(scope: Scope): Seen {
    const seen = this.#byScope.get(scope) ?? {};
    this.#byScope.set(scope, seen);
    return seen;
  }
}

@Injectable()
export class Witness {
  constructor(
    @InjectSession() readonly session: EntityManager,
    @InjectRepository(Note) private readonly notes: EntityRepository<Note>,
    private readonly em: EntityManager,
    private readonly orm: MikroORM,
    private readonly context: SessionContext<EntityManager>,
    private readonly sightings: Sightings,
  ) {}

  note(place: string): Seen {
    const seen = this.sightings.of(this.context.scope);
    seen[place] = this.session.id;
    return seen;
  }

  noteAll(): Seen {
    return Object.assign(this.note('service'), {
      repository: this.notes.getEntityManager().id,
      entityManager: this.em.id,
      orm: this.orm.em.id,
      context: this.context.current.id,
    });
  }

  async write(text: string): Promise<{ session: number; texts: string[] }> {
    this.session.create(Note, { text });
    await this.session.flush();
    const found = await this.notes.find({ text });
    return { session: this.session.id, texts: found.map((note) => note.text) };
  }
}

@Injectable()
export class WitnessGuard implements CanActivate {
  constructor(private readonly witness: Witness) {}

  canActivate(): boolean {
    this.witness.note('guard');
    return true;
  }
}

@Injectable()
export class WitnessPipe implements PipeTransform {
  constructor(private readonly witness: Witness) {}

  transform(value: unknown): unknown {
    this.witness.note('pipe');
    return value;
  }
}

@Injectable()
export class WitnessInterceptor implements NestInterceptor {
  constructor(private readonly witness: Witness) {}

  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    this.witness.note('interceptor before');
    return next.handle().pipe(
      map((value: unknown) => {
        this.witness.note('interceptor after');
        return value;
      }),
    );
  }
}

/** An interceptor that leaves all as it is. With it NestJS makes a stream of every answer. */
@Injectable()
export class PlainInterceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle();
  }
}
