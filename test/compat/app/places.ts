import type { AddressInfo, Server } from 'node:net';

import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Inject, Injectable, Module } from '@nestjs/common';
import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { ClientProxyFactory, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import { WsAdapter } from '@nestjs/platform-ws';
import { Interval, ScheduleModule } from '@nestjs/schedule';
import {
  MessageBody,
  type OnGatewayConnection,
  type OnGatewayDisconnect,
  SubscribeMessage,
  WebSocketGateway,
} from '@nestjs/websockets';
import { InSession, InjectSession, SessionContext } from 'nestjs-mikro-session';
import { firstValueFrom } from 'rxjs';

import { expectEqual } from './expect-equal.js';
import { Note } from './note.js';
import type { Extra } from './smoke.js';

/** Where work came in, and in which session. */
@Injectable()
class Diary {
  readonly lines = new Map<string, number>();
  readonly #readers = new Map<string, (session: number) => void>();

  constructor(@Inject(SessionContext) private readonly context: SessionContext<EntityManager>) {}

  /** Writes, and reads it again, which takes a session that knows what it does. */
  async note(text: string): Promise<string> {
    const session = this.context.current;
    session.create(Note, { text });
    await session.flush();
    const { kind } = this.context.scope;
    this.lines.set(text, session.id);
    this.#readers.get(text)?.(session.id);
    return `${kind} ${await session.count(Note, { text })}`;
  }

  async until(text: string): Promise<number> {
    return this.lines.get(text) ?? new Promise((resolve) => this.#readers.set(text, resolve));
  }
}

@Injectable()
class Background {
  #isDone = false;

  constructor(@Inject(Diary) private readonly diary: Diary) {}

  @Interval(10)
  async tick(): Promise<void> {
    if (!this.#isDone) {
      this.#isDone = true;
      await this.diary.note('tick');
    }
  }

  @OnEvent('event')
  async listen(text: string): Promise<void> {
    await this.diary.note(text);
  }

  @InSession({ transaction: true })
  async inSession(text: string): Promise<string> {
    return this.diary.note(text);
  }
}

@Controller()
class Messages {
  constructor(
    @Inject(Diary) private readonly diary: Diary,
    @InjectSession() private readonly session: EntityManager,
  ) {}

  @MessagePattern('note')
  async onNote(@Payload() text: string): Promise<string> {
    const before = this.session.id;
    return `${await this.diary.note(text)} ${before === this.diary.lines.get(text)}`;
  }
}

@WebSocketGateway()
class Gateway implements OnGatewayConnection, OnGatewayDisconnect {
  constructor(@Inject(Diary) private readonly diary: Diary) {}

  async handleConnection(): Promise<void> {
    await this.diary.note('connection');
  }

  async handleDisconnect(): Promise<void> {
    await this.diary.note('disconnection');
  }

  @SubscribeMessage('note')
  async onNote(@MessageBody() text: string): Promise<object> {
    return { event: 'answer', data: await this.diary.note(text) };
  }
}

@Module({ providers: [Diary, Background, Gateway], controllers: [Messages] })
class PlacesModule {}

/** Ticks, events, messages of a microservice and of a gateway. */
export const places: Extra = {
  name: 'ticks, events, messages, gateways',
  modules: () => [ScheduleModule.forRoot(), EventEmitterModule.forRoot(), { module: PlacesModule }],
  prepare: async (app) => {
    app.useWebSocketAdapter(new WsAdapter(app));
    app.connectMicroservice({ transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } });
    await app.startAllMicroservices();
  },
  check: async (app, url) => {
    const diary = app.get(Diary);
    app.get(EventEmitter2).emit('event', 'listener');
    const sessions = [await diary.until('tick'), await diary.until('listener')];
    expectEqual(await app.get(Background).inSession('method'), 'method 1');

    const [port] = app.getMicroservices().map((each) => (each.unwrap<Server>().address() as AddressInfo).port);
    const client = ClientProxyFactory.create({
      transport: Transport.TCP,
      options: { host: '127.0.0.1', port: port ?? 0 },
    });
    expectEqual(await firstValueFrom(client.send<string>('note', 'message')), 'message 1 true');
    await client.close();

    const socket = new WebSocket(url.replace('http', 'ws'));
    await new Promise((resolve) => socket.addEventListener('open', resolve));
    sessions.push(await diary.until('connection'));
    const answer = new Promise<string>((resolve) =>
      socket.addEventListener('message', ({ data }) => resolve(String(data))),
    );
    socket.send(JSON.stringify({ event: 'note', data: 'gateway' }));
    expectEqual(JSON.parse(await answer), { event: 'answer', data: 'message 1' });
    socket.close();
    sessions.push(await diary.until('disconnection'), await diary.until('message'), await diary.until('gateway'));
    expectEqual(new Set(sessions).size, 6);
  },
};
