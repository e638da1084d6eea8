import { randomUUID } from 'node:crypto';

import { EntityManager } from '@mikro-orm/postgresql';
import {
  type ArgumentsHost,
  Catch,
  Controller,
  type RpcExceptionFilter,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
} from '@nestjs/common';
import { EventPattern, MessagePattern, Payload, RpcException } from '@nestjs/microservices';
import { InjectSession, SessionClosedError, SessionContext, SessionRegistry } from 'nestjs-mikro-session';
import { concat, concatMap, firstValueFrom, from, lastValueFrom, NEVER, type Observable, of, toArray } from 'rxjs';

import { Note } from '../support/note.entity.js';
import { injections } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { Actor, Stage } from './support/message-stage.js';
import {
  PlainInterceptor,
  type Seen,
  Sightings,
  Witness,
  WitnessGuard,
  WitnessInterceptor,
  WitnessPipe,
} from './support/message-witness.js';
import { type RpcApp, startRpcApp } from './support/rpc-app.js';
import { findTransports, local } from './support/rpc-transports.js';

/** Names what goes over a broker that others may use at the same time. */
const name = (pattern: string): string => `${pattern}.${run}`;
const event = (pattern: string): { event: string } => ({ event: name(pattern) });
const run = randomUUID();

@Catch(RpcException)
class WitnessFilter implements RpcExceptionFilter<RpcException> {
  constructor(private readonly witness: Witness) {}

  catch(_error: RpcException, _host: ArgumentsHost): Observable<Seen> {
    return of(this.witness.note('filter'));
  }
}

@Controller()
@UseGuards(WitnessGuard)
@UseInterceptors(WitnessInterceptor)
class WitnessController {
  constructor(
    private readonly witness: Witness,
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext,
  ) {}

  @MessagePattern(name('seen'))
  @UsePipes(WitnessPipe)
  async seen(@Payload() _payload: unknown): Promise<Seen> {
    return Object.assign(this.witness.noteAll(), { controller: this.session.id });
  }

  @MessagePattern(name('filtered'))
  @UseFilters(WitnessFilter)
  filtered(): never {
    throw new RpcException('on purpose');
  }

  @MessagePattern(name('write'))
  write(text: string): Promise<{ session: number; texts: string[] }> {
    return this.witness.write(text);
  }

  @MessagePattern(name('scope'))
  scope(payload: unknown): Record<string, unknown> {
    const { kind, label, info } = this.context.scope;
    return { kind, label, pattern: info['pattern'], data: info['data'], payload };
  }
}

@Controller()
class ActorController {
  constructor(private readonly actor: Actor) {}

  @MessagePattern(name('value'))
  async value(): Promise<string> {
    await this.actor.begin();
    return 'value';
  }

  @MessagePattern(name('intercepted'))
  @UseInterceptors(PlainInterceptor)
  async intercepted(): Promise<string> {
    await this.actor.begin();
    return 'value';
  }

  @MessagePattern(name('many'))
  async many(): Promise<Observable<number>> {
    await this.actor.begin();
    return from([1, 2, 3]).pipe(concatMap(async (n) => n + (await this.actor.session.count(Note))));
  }

  @MessagePattern(name('throws'))
  async throws(): Promise<never> {
    await this.actor.begin();
    throw new RpcException('on purpose');
  }

  @MessagePattern(name('many-then-fails'))
  async manyThenFails(): Promise<Observable<number>> {
    await this.actor.begin();
    return from([1, 2]).pipe(
      concatMap(async (n) => {
        await this.actor.session.count(Note);
        if (n === 2) {
          throw new RpcException('on purpose');
        }
        return n;
      }),
    );
  }

  @MessagePattern(name('endless'))
  async endless(): Promise<Observable<number>> {
    await this.actor.begin();
    return concat(of(1), NEVER);
  }

  @MessagePattern(name('outlives'))
  async outlives(): Promise<string> {
    await this.actor.begin();
    void this.actor.waitAndUse();
    return 'value';
  }

  @MessagePattern(name('forgets'))
  async forgets(): Promise<string> {
    this.actor.session.create(Note, { text: 'never flushed' });
    return 'value';
  }

  @EventPattern(event('noted'))
  async first(): Promise<void> {
    await this.actor.say('first');
  }

  @EventPattern(event('begun'))
  async begun(): Promise<void> {
    await this.actor.begin();
  }

  @EventPattern(event('half-failed'))
  failing(): never {
    throw new RpcException('on purpose');
  }
}

@Controller()
class SecondController {
  constructor(private readonly actor: Actor) {}

  @EventPattern(event('noted'))
  second(): Promise<void> {
    return this.actor.say('second');
  }

  @EventPattern(event('half-failed'))
  @UseInterceptors(PlainInterceptor)
  async working(): Promise<void> {
    await this.actor.begin();
    await this.actor.waitAndUse();
  }
}

const metadata = {
  controllers: [WitnessController, ActorController, SecondController],
  providers: [Sightings, Witness, Stage, Actor],
};

const places = findTransports().flatMap((transport) => transport.forms.map((form) => ({ transport, form })));

describe.each(places)('a $form microservice over $transport.name', ({ transport, form }) => {
  describe.each(injections)('with %s injection', (injection) => {
    let database: TestDatabase;
    let app: RpcApp;
    let stage: Stage;

    beforeAll(async () => {
      database = await createTestDatabase();
      app = await startRpcApp({ form, transport, databaseUrl: database.url, session: { injection }, ...metadata });
      stage = app.get(Stage);
    });

    beforeEach(() => stage.reset());

    afterAll(async () => {
      await app.close();
      await database.drop();
    });

    const send = <Answer>(pattern: string, data: unknown = {}): Promise<Answer> =>
      lastValueFrom(app.client.send<Answer>(name(pattern), data));

    it('gives one session to every part of a message', async () => {
      const seen = await send<Seen>('seen');

      expect(Object.keys(seen).toSorted()).toEqual(
        [
          'guard',
          'interceptor before',
          'pipe',
          'service',
          'repository',
          'entityManager',
          'orm',
          'context',
          'controller',
          'interceptor after',
        ].toSorted(),
      );
      expect(new Set(Object.values(seen)).size).toBe(1);
    });

    it('gives the same session to an exception filter', async () => {
      const seen = await send<Seen>('filtered');

      expect(Object.keys(seen)).toEqual(['guard', 'interceptor before', 'filter']);
      expect(new Set(Object.values(seen)).size).toBe(1);
    });

    it('gives another session to each of 100 messages at once, which write and read their own rows', async () => {
      const texts = Array.from({ length: 100 }, (_, i) => `note ${i}`);

      const answers = await Promise.all(texts.map((text) => send<{ session: number; texts: string[] }>('write', text)));

      expect(answers.map((answer) => answer.texts)).toEqual(texts.map((text) => [text]));
      expect(new Set(answers.map(({ session }) => session)).size).toBe(100);
    });

    it('names the scope after the message, and tells what it carries', async () => {
      const scope = await send('scope', { id: 1 });

      expect(scope).toEqual({
        kind: 'message',
        label: `message "${name('scope')}" (${transport.name})`,
        pattern: name('scope'),
        data: { id: 1 },
        payload: { id: 1 },
      });
    });

    it.each(['value', 'intercepted'])('closes the session before the answer is sent: %s', async (pattern) => {
      await database.query('delete from note');
      const answer = await send(pattern);
      const { session, scope } = await stage.arrived.promise;

      expect(answer).toBe('value');
      expect(scope.state).toBe('closed');
      expect(() => session.clear()).toThrow(SessionClosedError);
      expect(() => session.clear()).toThrow('it had returned');
      await database.untilNoTransaction();
      expect(await database.query('select * from note')).toEqual([]);
    });

    it('keeps the session open while an Observable emits, then closes it', async () => {
      await database.query('delete from note');
      const values = await lastValueFrom(app.client.send(name('many'), {}).pipe(toArray()));
      const { session, scope } = await stage.arrived.promise;

      expect(values).toEqual([2, 3, 4]);
      expect(scope.state).toBe('closed');
      expect(() => session.clear()).toThrow('it had returned');
      await database.untilNoTransaction();
      expect(await database.query('select * from note')).toEqual([]);
    });

    it.each(['throws', 'many-then-fails'])('rolls back and closes when the handler fails: %s', async (pattern) => {
      await database.query('delete from note');

      await expect(send(pattern)).rejects.toEqual({ status: 'error', message: 'on purpose' });

      const { session, scope } = await stage.arrived.promise;
      expect(scope.state).toBe('closed');
      expect(() => session.clear()).toThrow('it had thrown');
      await database.untilNoTransaction();
      expect(await database.query('select * from note')).toEqual([]);
    });

    it('leaves no session to a promise that outlives the message', async () => {
      await send('outlives');

      stage.goOn.resolve();

      expect(await stage.settled.promise).toBeInstanceOf(SessionClosedError);
    });

    it('closes the session of an event', async () => {
      await lastValueFrom(app.client.emit(event('begun'), {}), { defaultValue: undefined });
      const { scope } = await stage.arrived.promise;
      await stage.closed.promise;

      expect(scope.label).toBe(`event {"event":"${name('begun')}"} (${transport.name})`);
      await database.untilNoTransaction();
    });

    it('gives each handler of an event a session of its own', async () => {
      await database.query('delete from note');
      await lastValueFrom(app.client.emit(event('noted'), {}), { defaultValue: undefined });
      await database.until('select count(*) = 2 from note');

      expect(stage.said.map(({ name }) => name).toSorted()).toEqual(['first', 'second']);
      expect(new Set(stage.said.map(({ session }) => session)).size).toBe(2);
    });

    it('lets a handler of an event go on when another one fails', async () => {
      await lastValueFrom(app.client.emit(event('half-failed'), {}), { defaultValue: undefined });
      await stage.arrived.promise;
      await untilNoOtherWorkIsLeft();

      stage.goOn.resolve();

      expect(await stage.settled.promise).toBe(1);
      await stage.closed.promise;
    });

    const untilNoOtherWorkIsLeft = async (): Promise<void> => {
      await database.until(
        `select count(*) = 1 from pg_stat_activity where datname = current_database() and state like 'idle in%'`,
      );
    };

    it('leaves no scope behind', async () => {
      expect(app.get(SessionRegistry).list()).toEqual([]);
    });
  });
});

describe.each(injections)('a message whose answer nobody reads any more, with %s injection', (injection) => {
  it('is closed when the Observable is unsubscribed from', async () => {
    const database = await createTestDatabase();
    const app = await startRpcApp({
      form: 'standalone',
      transport: local,
      databaseUrl: database.url,
      session: { injection },
      ...metadata,
    });
    const stage = app.get(Stage);

    await firstValueFrom(app.client.send(name('endless'), {}));
    const { session, scope } = await stage.arrived.promise;
    await stage.closed.promise;

    expect(scope.signal.aborted).toBe(true);
    expect(() => session.clear()).toThrow('its client had disconnected');
    await app.close();
    await database.drop();
  });
});
