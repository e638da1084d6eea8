import { once } from 'node:events';

import { EntityManager } from '@mikro-orm/postgresql';
import {
  type ArgumentsHost,
  Catch,
  Inject,
  Injectable,
  Scope,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
  type WsExceptionFilter,
} from '@nestjs/common';
import { ContextIdFactory, ModuleRef, REQUEST } from '@nestjs/core';
import {
  ConnectedSocket,
  MessageBody,
  type OnGatewayConnection,
  type OnGatewayDisconnect,
  SubscribeMessage,
  WebSocketGateway,
  WsException,
  type WsResponse,
} from '@nestjs/websockets';
import { InjectSession, SessionClosedError, SessionContext, SessionRegistry } from 'nestjs-mikro-session';
import { concat, concatMap, from, map, NEVER, type Observable, of } from 'rxjs';

import { Note } from '../support/note.entity.js';
import { itSince } from '../support/since.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { adapters, type GatewayClient } from './support/gateway-adapters.js';
import { type GatewayApp, startGatewayApp } from './support/gateway-app.js';
import { describeInjections, GATEWAYS_PER_MESSAGE, itOfExceptions } from './support/gateways-that-inject.js';
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

type Client = object & { name?: string };

const answer = <Data>(data: Data): WsResponse<Data> => ({ event: 'answer', data });

@Injectable()
@Catch(WsException)
class WitnessFilter implements WsExceptionFilter<WsException> {
  constructor(private readonly witness: Witness) {}

  catch(_error: WsException, host: ArgumentsHost): void {
    const client = host
      .switchToWs()
      .getClient<{ emit(event: string, data: unknown): void; send?(text: string): void }>();
    const seen = this.witness.note('filter');
    if ('readyState' in client) {
      client.send?.(JSON.stringify(answer(seen)));
    } else {
      client.emit('answer', seen);
    }
  }
}

@WebSocketGateway()
@UseGuards(WitnessGuard)
@UseInterceptors(WitnessInterceptor)
class WitnessGateway {
  constructor(
    private readonly witness: Witness,
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext,
  ) {}

  @SubscribeMessage('seen')
  @UsePipes(WitnessPipe)
  seen(@MessageBody() _body: unknown): WsResponse<Seen> {
    return answer(Object.assign(this.witness.noteAll(), { gateway: this.session.id }));
  }

  @SubscribeMessage('filtered')
  @UseFilters(WitnessFilter)
  filtered(): never {
    throw new WsException('on purpose');
  }

  @SubscribeMessage('write')
  async write(@MessageBody() text: string): Promise<WsResponse<{ text: string; session: number; texts: string[] }>> {
    return answer({ text, ...(await this.witness.write(text)) });
  }

  @SubscribeMessage('scope')
  scope(): WsResponse<unknown> {
    const { kind, label, info } = this.context.scope;
    return answer({ kind, label, data: info['data'] });
  }
}

@WebSocketGateway()
class ActorGateway {
  constructor(private readonly actor: Actor) {}

  @SubscribeMessage('value')
  async value(): Promise<WsResponse<string>> {
    await this.actor.begin();
    return answer('value');
  }

  @SubscribeMessage('intercepted')
  @UseInterceptors(PlainInterceptor)
  async intercepted(): Promise<WsResponse<string>> {
    await this.actor.begin();
    return answer('value');
  }

  @SubscribeMessage('many')
  async many(): Promise<Observable<WsResponse<number | string>>> {
    await this.actor.begin();
    const numbers = from([1, 2, 3]).pipe(
      concatMap(async (n) => n + (await this.actor.session.count(Note))),
      map((n) => answer(n)),
    );
    return concat(numbers, of(answer('end')));
  }

  @SubscribeMessage('throws')
  async throws(): Promise<never> {
    await this.actor.begin();
    throw new WsException('on purpose');
  }

  @SubscribeMessage('many-then-fails')
  async manyThenFails(): Promise<Observable<WsResponse<number>>> {
    await this.actor.begin();
    return from([1]).pipe(
      concatMap(async () => {
        await this.actor.session.count(Note);
        throw new WsException('on purpose');
      }),
    );
  }

  @SubscribeMessage('waits')
  async waits(): Promise<void> {
    await this.actor.begin();
    await this.actor.waitAndUse();
  }

  @SubscribeMessage('intercepted-waits')
  @UseInterceptors(PlainInterceptor)
  async interceptedWaits(): Promise<void> {
    await this.actor.begin();
    await this.actor.waitAndUse();
  }

  @SubscribeMessage('late-stream')
  async lateStream(): Promise<Observable<never>> {
    await this.actor.begin();
    await this.actor.waitAndUse();
    return NEVER;
  }

  @SubscribeMessage('endless')
  async endless(): Promise<Observable<unknown>> {
    await this.actor.begin();
    return concat(of(answer('first')), NEVER);
  }

  @SubscribeMessage('outlives')
  async outlives(): Promise<WsResponse<string>> {
    await this.actor.begin();
    void this.actor.waitAndUse();
    return answer('value');
  }
}

/** What is made per message. */
@Injectable({ scope: Scope.REQUEST })
class Mine {}

@WebSocketGateway()
class ClientGateway {
  constructor(
    private readonly mine: Mine,
    @Inject(REQUEST) private readonly request: Client,
    private readonly moduleRef: ModuleRef,
    private readonly stage: Stage,
  ) {}

  @SubscribeMessage('name')
  name(@ConnectedSocket() client: Client, @MessageBody() name: string): WsResponse<unknown> {
    client.name = name;
    return answer(client === this.request);
  }

  @SubscribeMessage('named')
  named(@ConnectedSocket() client: Client): WsResponse<unknown> {
    return answer(client.name);
  }

  @SubscribeMessage('tree')
  async tree(@ConnectedSocket() client: Client, @MessageBody() order: string): Promise<WsResponse<unknown>> {
    if (order === 'first') {
      await this.stage.goOn.promise;
    } else {
      this.stage.goOn.resolve();
    }
    const mine = await this.moduleRef.resolve(Mine, ContextIdFactory.getByRequest(client), { strict: false });
    return answer(`${order}: ${mine === this.mine}`);
  }
}

@WebSocketGateway()
class DoorGateway implements OnGatewayConnection, OnGatewayDisconnect {
  constructor(private readonly actor: Actor) {}

  async handleConnection(): Promise<void> {
    await this.actor.say('in');
  }

  async handleDisconnect(): Promise<void> {
    await this.actor.say('out');
  }
}

/** A gateway that does not care who comes and goes. */
@WebSocketGateway()
class QuietGateway {
  constructor(@InjectSession() session: EntityManager, stage: Stage) {
    stage.made.push(session);
  }

  @SubscribeMessage('quiet')
  quiet(): WsResponse<string> {
    return answer('quiet');
  }
}

@WebSocketGateway()
class OtherDoorGateway implements OnGatewayConnection {
  constructor(private readonly actor: Actor) {}

  async handleConnection(): Promise<void> {
    await this.actor.say('also in');
  }
}

const providers = [
  Sightings,
  Witness,
  Stage,
  Actor,
  Mine,
  WitnessGateway,
  ActorGateway,
  ClientGateway,
  DoorGateway,
  OtherDoorGateway,
];

describe.each(adapters)('gateways over $name', (adapter) => {
  describeInjections((injection) => {
    let database: TestDatabase;
    let app: GatewayApp;
    let stage: Stage;
    let client: GatewayClient;

    beforeAll(async () => {
      database = await createTestDatabase();
      app = await startGatewayApp({ adapter, databaseUrl: database.url, session: { injection }, providers });
      stage = app.get(Stage);
    });

    beforeEach(async () => {
      client = await app.connect();
      await database.until(`select count(*) = 2 from note where text in ('in', 'also in')`);
      await database.query('delete from note');
      stage.reset();
    });

    afterEach(async () => {
      client.disconnect();
      await database.until(`select count(*) = 1 from note where text = 'out'`);
      await database.query('delete from note');
    });

    afterAll(async () => {
      await app.close();
      await database.drop();
    });

    const ask = async (event: string, data: unknown = {}): Promise<unknown> => {
      client.send(event, data);
      return (await client.next()).data;
    };

    it('give one session to every part of a message', async () => {
      const seen = (await ask('seen')) as Seen;

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
          'gateway',
          'interceptor after',
        ].toSorted(),
      );
      expect(new Set(Object.values(seen)).size).toBe(1);
    });

    it('give the same session to an exception filter', async () => {
      const seen = (await ask('filtered')) as Seen;

      expect(Object.keys(seen)).toEqual(['guard', 'interceptor before', 'filter']);
      expect(new Set(Object.values(seen)).size).toBe(1);
    });

    it('give another session to each of 100 messages of one connection, which write and read their own rows', async () => {
      const texts = Array.from({ length: 100 }, (_, i) => `note ${i}`);

      texts.forEach((text) => client.send('write', text));
      const answers = await Promise.all(
        texts.map(async () => (await client.next()).data as { text: string; session: number; texts: string[] }),
      );

      expect(answers.map(({ text }) => text).toSorted()).toEqual(texts.toSorted());
      expect(answers.map((one) => one.texts)).toEqual(answers.map(({ text }) => [text]));
      expect(new Set(answers.map(({ session }) => session)).size).toBe(100);
    });

    it('name the scope after the message, and tell what it carries', async () => {
      const scope = await ask('scope', { id: 1 });

      expect(scope).toEqual({ kind: 'message', label: 'message "scope" of WitnessGateway', data: { id: 1 } });
    });

    it.each(['value', 'intercepted'])('close the session before the answer is sent: %s', async (event) => {
      const answered = await ask(event);
      const { session, scope } = await stage.arrived.promise;

      expect(answered).toBe('value');
      expect(scope.state).toBe('closed');
      expect(() => session.clear()).toThrow(SessionClosedError);
      expect(() => session.clear()).toThrow('it had returned');
      await database.untilNoTransaction();
      expect(await database.query('select * from note')).toEqual([]);
    });

    it('keep the session open while an Observable emits, then close it', async () => {
      client.send('many');
      const answers = [await client.next(), await client.next(), await client.next(), await client.next()];
      const { session, scope } = await stage.arrived.promise;

      expect(answers.map(({ data }) => data)).toEqual([2, 3, 4, 'end']);
      expect(scope.state).toBe('closed');
      expect(() => session.clear()).toThrow('it had returned');
      await database.untilNoTransaction();
      expect(await database.query('select * from note')).toEqual([]);
    });

    itOfExceptions(adapter).each(['throws', 'many-then-fails'])(
      'roll back and close when the handler fails: %s',
      async (event) => {
        const exception = await ask(event);
        const { session } = await stage.arrived.promise;
        await stage.closed.promise;

        expect(exception).toMatchObject({ status: 'error', message: 'on purpose' });
        expect(() => session.clear()).toThrow('it had thrown');
        await database.untilNoTransaction();
        expect(await database.query('select * from note')).toEqual([]);
      },
    );

    it('leave no session to a promise that outlives the message', async () => {
      await ask('outlives');

      stage.goOn.resolve();

      expect(await stage.settled.promise).toBeInstanceOf(SessionClosedError);
    });

    it.each(['waits', 'intercepted-waits', 'late-stream'])(
      'wait for the handler when the client goes away, then close the session: %s',
      async (event) => {
        client.send(event);
        const { session, scope } = await stage.arrived.promise;
        const { signal } = scope;
        client.disconnect();
        await (signal.aborted ? undefined : once(signal, 'abort'));
        expect(scope.state).toBe('open');

        stage.goOn.resolve();

        expect(await stage.settled.promise).toBe(1);
        await stage.closed.promise;
        expect(() => session.clear()).toThrow('its client had disconnected');
        await database.untilNoTransaction();
      },
    );

    it('close the session of an endless Observable when the client goes away', async () => {
      await ask('endless');
      const { session, scope } = await stage.arrived.promise;
      expect(scope.state).toBe('open');

      client.disconnect();

      await stage.closed.promise;
      expect(() => session.clear()).toThrow('its client had disconnected');
      await database.untilNoTransaction();
    });

    itSince('@nestjs/core', GATEWAYS_PER_MESSAGE)(
      'leave the client as it is, the same object for every message',
      async () => {
        expect(await ask('name', 'Ada')).toBe(true);
        expect(await ask('named')).toBe('Ada');
      },
    );

    itSince('@nestjs/core', GATEWAYS_PER_MESSAGE)(
      'resolve what is request-scoped for the message that asks, not for the last one',
      async () => {
        client.send('tree', 'first');
        client.send('tree', 'second');
        const answers = new Set([(await client.next()).data, (await client.next()).data]);

        expect(answers).toEqual(new Set(['first: true', 'second: true']));
      },
    );

    it('leave no scope behind', async () => {
      expect(app.get(SessionRegistry).list()).toEqual([]);
    });
  });
});

describe.each(adapters)('the connection of a client over $name', (adapter) => {
  describeInjections((injection) => {
    let database: TestDatabase;
    let app: GatewayApp;

    beforeAll(async () => {
      database = await createTestDatabase();
      app = await startGatewayApp({
        adapter,
        databaseUrl: database.url,
        session: { injection },
        providers: [Stage, Actor, DoorGateway, OtherDoorGateway, QuietGateway],
      });
    });

    afterAll(async () => {
      await app.close();
      await database.drop();
    });

    it('gives each handler of its beginning and its end a scope of its own, and makes nothing for the other gateways', async () => {
      const { said, made } = app.get(Stage);
      const madeAtStart = made.length;

      const client = await app.connect();
      await database.until('select count(*) = 2 from note');
      client.disconnect();
      await database.until('select count(*) = 3 from note');

      expect(said.map(({ name, label }) => `${name}: ${label}`).toSorted()).toEqual([
        'also in: connection of OtherDoorGateway',
        'in: connection of DoorGateway',
        'out: disconnection of DoorGateway',
      ]);
      expect(new Set(said.map(({ session }) => session)).size).toBe(3);
      expect(made).toHaveLength(madeAtStart);
      await database.untilNoTransaction();
    });
  });
});
