import type { EventEmitter } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';

import type { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, Req } from '@nestjs/common';
import { Ctx, MessagePattern, TcpContext } from '@nestjs/microservices';
import { ConnectedSocket, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { InjectSession } from 'nestjs-mikro-session';
import { lastValueFrom } from 'rxjs';

import { Note } from '../support/note.entity.js';
import { injections, platforms, startTestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { adapters } from './support/gateway-adapters.js';
import { startGatewayApp } from './support/gateway-app.js';
import { itOfGateways } from './support/gateways-that-inject.js';
import { startRpcApp } from './support/rpc-app.js';
import { tcp } from './support/rpc-transports.js';

const TIMES = 30;

function countListeners(emitter: EventEmitter): number {
  return emitter.eventNames().reduce((count, name) => count + emitter.listenerCount(name), 0);
}

@WebSocketGateway()
class CountingGateway {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @SubscribeMessage('count')
  async count(@ConnectedSocket() client: EventEmitter): Promise<{ event: string; data: number }> {
    await this.session.count(Note);
    return { event: 'answer', data: countListeners(client) };
  }
}

@Controller()
class CountingController {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @Get()
  async get(@Req() { socket }: IncomingMessage): Promise<{ count: number }> {
    await this.session.count(Note);
    return { count: countListeners(socket) };
  }

  @MessagePattern('count')
  async answer(@Ctx() context: TcpContext): Promise<number> {
    await this.session.count(Note);
    const { socket } = context.getSocketRef() as unknown as { readonly socket: EventEmitter };
    return countListeners(socket);
  }
}

describe.each(injections)('the listeners of one connection with %s injection', (injection) => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  /** What the first ones set up stays as long as the connection. */
  async function countTwice(count: () => Promise<number>): Promise<{ before: number; after: number }> {
    await count();
    const before = await count();
    for (let time = 0; time < TIMES; time += 1) {
      await count();
    }
    return { before, after: await count() };
  }

  itOfGateways(injection).each(adapters)('do not get more by its messages, over $name', async (adapter) => {
    const app = await startGatewayApp({
      adapter,
      databaseUrl: database.url,
      session: { injection },
      providers: [CountingGateway],
    });
    const client = await app.connect();

    const { before, after } = await countTwice(async () => {
      client.send('count', {});
      return (await client.next()).data as number;
    });

    client.disconnect();
    await app.close();
    expect(before).toBeGreaterThan(0);
    expect(after).toBe(before);
  });

  it('do not get more by its messages, over TCP', async () => {
    const app = await startRpcApp({
      form: 'standalone',
      transport: tcp,
      databaseUrl: database.url,
      session: { injection },
      controllers: [CountingController],
    });

    const { before, after } = await countTwice(() => lastValueFrom(app.client.send<number>('count', {})));

    await app.close();
    expect(before).toBeGreaterThan(0);
    expect(after).toBe(before);
  });

  it.each(platforms)('do not get more by its requests, on %s', async (platform) => {
    const app = await startTestApp({
      platform,
      databaseUrl: database.url,
      session: { injection },
      controllers: [CountingController],
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });

    const { before, after } = await countTwice(async () => {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        get(app.url, { agent }, resolve).on('error', reject);
      });
      return (JSON.parse(await text(response)) as { count: number }).count;
    });

    agent.destroy();
    await app.close();
    expect(before).toBeGreaterThan(0);
    expect(after).toBe(before);
  });
});
