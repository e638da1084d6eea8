import { once } from 'node:events';

import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, UseInterceptors } from '@nestjs/common';
import { EventPattern, MessagePattern, RpcException } from '@nestjs/microservices';
import { type OnGatewayConnection, SubscribeMessage, WebSocketGateway, WsException } from '@nestjs/websockets';
import { InjectSession, SessionContext, SessionFactory } from 'nestjs-mikro-session';
import { firstValueFrom, lastValueFrom } from 'rxjs';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { injections } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { adapters } from './support/gateway-adapters.js';
import { startGatewayApp } from './support/gateway-app.js';
import { describeGateways, itOfExceptions } from './support/gateways-that-inject.js';
import { Actor, Stage } from './support/message-stage.js';
import { PlainInterceptor } from './support/message-witness.js';
import { startRpcApp } from './support/rpc-app.js';
import { local, tcp } from './support/rpc-transports.js';

const END_FAILURE = { status: 'error', message: 'Internal server error' };

@Controller()
class RpcController {
  constructor(
    private readonly actor: Actor,
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext<EntityManager>,
  ) {}

  @MessagePattern('waits')
  async waits(): Promise<void> {
    await this.actor.begin();
    await this.actor.waitAndUse();
  }

  @MessagePattern('count')
  async count(): Promise<{ notes: number; startedIn: boolean }> {
    return { notes: await this.session.count(Note), startedIn: this.session.isInTransaction() };
  }

  @MessagePattern('forgets')
  forgets(): string {
    this.session.create(Note, { text: 'never flushed' });
    return 'fine';
  }

  @MessagePattern('forgets-intercepted')
  @UseInterceptors(PlainInterceptor)
  forgetsIntercepted(): string {
    return this.forgets();
  }

  @MessagePattern('throws')
  throws(): never {
    this.session.create(Note, { text: 'never flushed' });
    throw new RpcException('on purpose');
  }

  @EventPattern({ event: 'forgets' })
  forgetsAnEvent(): void {
    this.context.onClose(() => this.actor.stage.closed.resolve());
    this.session.create(Note, { text: 'never flushed' });
  }
}

@WebSocketGateway()
class ForgetfulGateway implements OnGatewayConnection {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext,
    private readonly stage: Stage,
  ) {}

  handleConnection(): void {
    this.context.onClose(() => this.stage.closed.resolve());
    this.session.create(Note, { text: 'never flushed' });
  }

  @SubscribeMessage('forgets')
  forgets(): { event: string; data: string } {
    this.session.create(Note, { text: 'never flushed' });
    return { event: 'answer', data: 'fine' };
  }

  @SubscribeMessage('forgets-intercepted')
  @UseInterceptors(PlainInterceptor)
  forgetsIntercepted(): { event: string; data: string } {
    return this.forgets();
  }

  @SubscribeMessage('throws')
  throws(): never {
    this.session.create(Note, { text: 'never flushed' });
    throw new WsException('on purpose');
  }
}

describe.each(injections)('the end of a message, with %s injection', (injection) => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  const startRpc = (transport: typeof tcp) =>
    startRpcApp({
      form: 'standalone',
      transport,
      databaseUrl: database.url,
      session: { injection, unflushed: 'error' },
      controllers: [RpcController],
      providers: [Stage, Actor],
    });

  it('waits for the handler when the TCP client goes away, whose signal aborts', async () => {
    const app = await startRpc(tcp);
    const stage = app.get(Stage);
    app.client.send('waits', {}).subscribe({ error: () => undefined });
    const { session, scope } = await stage.arrived.promise;
    const { signal } = scope;

    await app.client.close();
    await (signal.aborted ? undefined : once(signal, 'abort'));
    expect(scope.state).toBe('open');
    stage.goOn.resolve();

    expect(await stage.settled.promise).toBe(1);
    await stage.closed.promise;
    expect(() => session.clear()).toThrow('its client had disconnected');
    await app.close();
  });

  it('is not the end of a transaction that the message was sent in', async () => {
    const app = await startRpc(local);
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);

    const seen = await factory.run(async (session) => {
      await session.begin();
      session.create(Note, { text: 'not yet committed' });
      await session.flush();
      const answer = await lastValueFrom(app.client.send<unknown>('count', {}));
      expect(session.isInTransaction()).toBe(true);
      return answer;
    });

    expect(seen).toEqual({ notes: 0, startedIn: false });
    await app.close();
  });

  it.each(['forgets', 'forgets-intercepted'])('tells a microservice client when it fails: %s', async (pattern) => {
    const app = await startRpc(tcp);
    using log = new CapturedLog();

    await expect(firstValueFrom(app.client.send(pattern, {}))).rejects.toEqual(END_FAILURE);

    expect(log.errors).toEqual([
      `The scope "message "${pattern}" (TCP)" could not be ended cleanly: ` +
        `The scope "message "${pattern}" (TCP)" ended with 1 unflushed change(s), which are lost: Note. ` +
        'Call session.flush(), or do the work in SessionFactory.begin().',
    ]);
    await app.close();
  });

  it('logs it when the end of an event fails', async () => {
    const app = await startRpc(tcp);
    using log = new CapturedLog();

    await lastValueFrom(app.client.emit({ event: 'forgets' }, {}), { defaultValue: undefined });
    await app.get(Stage).closed.promise;
    await lastValueFrom(app.client.send('count', {}));

    expect(log.errors).toEqual([expect.stringContaining('event {"event":"forgets"} (TCP)')]);
    await app.close();
  });

  it('does not complain of what a microservice handler that threw has left unflushed', async () => {
    const app = await startRpc(tcp);
    using log = new CapturedLog();

    await expect(lastValueFrom(app.client.send('throws', {}))).rejects.toMatchObject({ message: 'on purpose' });

    expect(log.errors).toEqual([]);
    await app.close();
  });

  describeGateways(injection).each(adapters)('over $name', (adapter) => {
    itOfExceptions(adapter)('tells the client of a gateway when it fails, but not when the handler threw', async () => {
      const app = await startGatewayApp({
        adapter,
        databaseUrl: database.url,
        session: { injection, unflushed: 'error' },
        providers: [Stage, ForgetfulGateway],
      });
      using log = new CapturedLog();
      const client = await app.connect();
      await app.get(Stage).closed.promise;

      const answers = [];
      for (const event of ['forgets', 'forgets-intercepted', 'throws']) {
        client.send(event);
        answers.push(await client.next());
      }
      client.disconnect();

      expect(answers).toEqual([
        { event: 'exception', data: END_FAILURE },
        { event: 'exception', data: END_FAILURE },
        { event: 'exception', data: expect.objectContaining({ message: 'on purpose' }) },
      ]);
      expect(log.errors.map((line) => line.split('" could not')[0])).toEqual([
        'The scope "connection of ForgetfulGateway',
        'The scope "message "forgets" of ForgetfulGateway',
        'The scope "message "forgets-intercepted" of ForgetfulGateway',
      ]);
      await app.close();
    });
  });
});
