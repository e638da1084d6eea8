import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { BullModule, getQueueToken, Processor, WorkerHost } from '@nestjs/bullmq';
import { Controller, Injectable } from '@nestjs/common';
import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { ClientProxyFactory, MessagePattern, Transport } from '@nestjs/microservices';
import { MessageBody, SubscribeMessage, WebSocketGateway, type WsResponse } from '@nestjs/websockets';
import type { Job, Queue } from 'bullmq';
import { JobService, SessionContext, SessionFactory } from 'nestjs-mikro-session';
import { JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';
import { lastValueFrom } from 'rxjs';

import { backends, useBackend } from '../background/queue-backends.js';
import { adapters } from '../messages/support/gateway-adapters.js';
import { startTestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { WhereWorker } from '../threads/app/thread.workers.js';
import { compileThreadApp } from '../threads/support/thread-app.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    'from-tasks': number;
  }
}

/** A payload that is no plain data. */
class Order {
  readonly #secret = 1;
  reveal = (): number => this.#secret;
}

/** What the jobs knew that were sent, and that ran in a thread. */
interface Found {
  readonly keys: readonly string[];
  readonly threads: readonly unknown[];
}

/** Sends a job to a queue, and runs others in a thread. */
@Injectable()
class Sender {
  constructor(
    private readonly queue: JobQueue,
    private readonly jobs: JobService,
    private readonly factory: SessionFactory,
    private readonly context: SessionContext,
  ) {}

  async send(): Promise<Found> {
    await this.queue.send('from-tasks', 1);
    await this.factory.begin(() => this.queue.send('from-tasks', 2), { info: { tenant: 'a' } });
    const [plain] = await this.jobs.map([1], WhereWorker, { threads: 1 });
    const [tenant] = await this.factory.run(() => this.jobs.map([1], WhereWorker, { threads: 1 }), {
      info: { tenant: 'a' },
    });
    return { keys: Object.keys(this.context.scope.info), threads: [plain?.info, tenant?.info] };
  }
}

@WebSocketGateway()
class Gateway {
  constructor(private readonly sender: Sender) {}

  @SubscribeMessage('order')
  async order(@MessageBody() _body: unknown): Promise<WsResponse<Found>> {
    return { event: 'answer', data: await this.sender.send() };
  }
}

@Injectable()
class Listener {
  constructor(private readonly sender: Sender) {}

  @OnEvent('ordered', { suppressErrors: false })
  onOrdered(_order: Order): Promise<Found> {
    return this.sender.send();
  }
}

@Controller()
class Messages {
  constructor(private readonly sender: Sender) {}

  @MessagePattern('order')
  order(): Promise<Found> {
    return this.sender.send();
  }
}

@Processor('orders')
class Orders extends WorkerHost {
  constructor(private readonly sender: Sender) {
    super();
  }

  async process(_job: Job, _token?: string, _signal?: AbortSignal): Promise<Found> {
    return this.sender.send();
  }
}

// An application starts in each new thread.
import.meta.jest.setTimeout(60_000);

describe('jobs that are sent to a queue or to threads', () => {
  let database: TestDatabase;
  let folder: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    folder = await compileThreadApp();
  }, 60_000);

  afterEach(() => database.query('delete from pgboss.job'));

  afterAll(async () => {
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  const base = () => ({
    databaseUrl: database.url,
    session: {
      threads: {
        application: pathToFileURL(join(folder, 'threads', 'app', 'thread-application.js')),
        data: { databaseUrl: database.url },
      },
    },
    orm: { schemaGenerator: { ignoreSchema: ['bullmq', 'pgboss'] } },
    providers: [Sender, WhereWorker],
  });
  const queue = JobQueueModule.forRoot({ work: false, queues: { 'from-tasks': {} } });

  const sent = (): Promise<unknown[]> =>
    database.query(`select data -> 'info' as info from pgboss.job order by (data ->> 'input')::int`);

  /** The info that people gave, and nothing of what the library knows. */
  const threads = [{}, { tenant: 'a' }];
  const infos = [{ info: null }, { info: { tenant: 'a' } }];

  it.each(adapters)(
    'take the info that people gave along, and nothing else: from a gateway over $name',
    async (adapter) => {
      const { app, url } = await startTestApp({
        ...base(),
        imports: [queue],
        providers: [...base().providers, Gateway],
        configure: (application) => adapter.install(application),
      });
      const client = await adapter.connect(url);

      client.send('order', { number: 1 });
      const { data } = await client.next();

      expect(data).toEqual({ keys: expect.arrayContaining(['data']), threads });
      expect(await sent()).toEqual(infos);
      client.disconnect();
      await app.close();
    },
  );

  it('take the info that people gave along, and nothing else: from a listener of events with a class as its payload', async () => {
    const { app, get } = await startTestApp({
      ...base(),
      imports: [queue, EventEmitterModule.forRoot()],
      providers: [...base().providers, Listener],
    });

    const found = await get<EventEmitter2>(EventEmitter2).emitAsync('ordered', new Order());

    expect(found).toEqual([{ keys: ['event', 'payload'], threads }]);
    expect(await sent()).toEqual(infos);
    await app.close();
  });

  it('take the info that people gave along, and nothing else: from a message handler', async () => {
    const { app } = await startTestApp({
      ...base(),
      imports: [queue],
      controllers: [Messages],
      configure: (application) =>
        application.connectMicroservice({ transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } }),
    });
    await app.startAllMicroservices();
    const { port } = app.getMicroservices()[0]?.unwrap<{ address(): { port: number } }>().address() ?? { port: 0 };
    const client = ClientProxyFactory.create({ transport: Transport.TCP, options: { host: '127.0.0.1', port } });

    const found = await lastValueFrom(client.send<Found>('order', {}));

    expect(found).toEqual({ keys: ['pattern', 'data', 'context'], threads });
    expect(await sent()).toEqual(infos);
    await client.close();
    await app.close();
  });

  it.each(backends)(
    'take the info that people gave along, and nothing else: from a job of BullMQ on %s',
    async (backend) => {
      const bull = useBackend(backend, database.url);
      const { app, get } = await startTestApp({
        ...base(),
        imports: [queue, BullModule.forRoot(bull.options), BullModule.registerQueue({ name: 'orders' })],
        providers: [...base().providers, Orders],
      });
      const orders = get<Queue>(getQueueToken('orders'));

      const end = await bull.end(await orders.add('order', { number: 1 }));

      expect(end).toEqual({ returned: { keys: expect.arrayContaining(['data']), threads } });
      expect(await sent()).toEqual(infos);
      await orders.obliterate({ force: true });
      await app.close();
    },
  );
});
