import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { WebSocketsController } from '@nestjs/websockets/web-sockets-controller.js';
import { SessionContext } from 'nestjs-mikro-session';

import { startTestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { adapters } from './support/gateway-adapters.js';
import { startGatewayApp } from './support/gateway-app.js';

@WebSocketGateway()
class ScopedGateway {
  constructor(private readonly context: SessionContext) {}

  @SubscribeMessage('ask')
  ask(): { event: string; data: string } {
    return { event: 'answer', data: this.context.scope.label };
  }
}

@WebSocketGateway()
class PlainGateway {
  @SubscribeMessage('ask')
  ask(): { event: string; data: string } {
    return { event: 'answer', data: 'plain' };
  }
}

@Module({ providers: [PlainGateway] })
class PlainModule {}

describe('an application', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  it('without gateways leaves @nestjs/websockets as it is', async () => {
    const { subscribeEvents } = WebSocketsController.prototype;

    const { app } = await startTestApp({ databaseUrl: database.url });

    expect(WebSocketsController.prototype.subscribeEvents).toBe(subscribeEvents);
    expect(Object.getOwnPropertySymbols(WebSocketsController.prototype)).toEqual([]);
    await app.close();
  });

  it.each(adapters)(
    'without SessionModule is left alone by another one in the same process, over $name',
    async (adapter) => {
      const scoped = await startGatewayApp({
        adapter,
        databaseUrl: database.url,
        session: {},
        providers: [ScopedGateway],
      });
      const { subscribeEvents } = WebSocketsController.prototype;
      const again = await startGatewayApp({
        adapter,
        databaseUrl: database.url,
        session: {},
        providers: [ScopedGateway],
      });
      expect(WebSocketsController.prototype.subscribeEvents).toBe(subscribeEvents);
      const plain = await NestFactory.create(PlainModule, { logger: ['error', 'warn'] });
      adapter.install(plain);
      await plain.listen(0, '127.0.0.1');

      const answers = [];
      for (const connect of [scoped.connect, again.connect, async () => adapter.connect(await plain.getUrl())]) {
        const client = await connect();
        client.send('ask');
        answers.push((await client.next()).data);
        client.disconnect();
      }

      expect(answers).toEqual(['message "ask" of ScopedGateway', 'message "ask" of ScopedGateway', 'plain']);
      await Promise.all([scoped.close(), again.close(), plain.close()]);
    },
  );
});
