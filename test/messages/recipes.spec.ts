import { EntityManager } from '@mikro-orm/postgresql';
import { Controller } from '@nestjs/common';
import { EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { MessageBody, type OnGatewayConnection, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { InjectSession } from 'nestjs-mikro-session';
import { lastValueFrom } from 'rxjs';
import { io } from 'socket.io-client';

import { Note } from '../support/note.entity.js';
import { injections, startTestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { itOfGateways } from './support/gateways-that-inject.js';
import { startRpcApp } from './support/rpc-app.js';
import { tcp } from './support/rpc-transports.js';

@WebSocketGateway()
class ChatGateway implements OnGatewayConnection {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handleConnection(): Promise<void> {
    await this.session.insert(Note, { text: 'somebody came in' });
  }

  @SubscribeMessage('say')
  async say(@MessageBody() text: string): Promise<number> {
    this.session.create(Note, { text });
    await this.session.flush();
    return this.session.count(Note);
  }
}

@Controller()
class NotesController {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @MessagePattern('notes.add')
  add(@Payload() text: string): Promise<number> {
    return this.session.transactional(async (session) => {
      session.create(Note, { text });
      return session.count(Note);
    });
  }

  @EventPattern({ event: 'notes.forget' })
  async forget(): Promise<void> {
    await this.session.nativeDelete(Note, {});
  }
}

describe.each(injections)('the recipes for messages, with %s injection', (injection) => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  itOfGateways(injection)(
    'write from a gateway, with the adapter that NestJS takes by itself, and acknowledge',
    async () => {
      const { app, url } = await startTestApp({
        databaseUrl: database.url,
        session: { injection },
        providers: [ChatGateway],
      });
      const socket = io(url, { transports: ['websocket'], forceNew: true, reconnection: false });
      await database.until(`select count(*) = 1 from note where text = 'somebody came in'`);

      expect(await socket.emitWithAck('say', 'hello')).toBe(2);
      expect(await socket.emitWithAck('say', 'hello again')).toBe(3);

      socket.disconnect();
      await app.close();
    },
  );

  it('write from a microservice', async () => {
    const app = await startRpcApp({
      form: 'standalone',
      transport: tcp,
      databaseUrl: database.url,
      session: { injection },
      controllers: [NotesController],
    });

    expect(await lastValueFrom(app.client.send('notes.add', 'one'))).toBe(1);
    expect(await lastValueFrom(app.client.send('notes.add', 'two'))).toBe(2);
    await lastValueFrom(app.client.emit({ event: 'notes.forget' }, {}), { defaultValue: undefined });
    await database.until('select count(*) = 0 from note');

    await app.close();
  });
});
