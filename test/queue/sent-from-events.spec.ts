import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { Controller, Injectable, type Type } from '@nestjs/common';
import { ClientProxyFactory, MessagePattern, Transport } from '@nestjs/microservices';
import { type JobChunkWorker, SessionContext, SessionFactory } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';
import { lastValueFrom } from 'rxjs';

import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    'from-events': number;
    further: unknown;
  }
}

/** A payload that is no plain data, as events have. */
class Order {
  constructor(readonly numbers: readonly number[]) {}
  readonly #secret = 1;
  reveal = (): number => this.#secret;
}

/** What is known where the work is done, the library's own words included. */
@Injectable()
class Sender {
  constructor(
    private readonly queue: JobQueue,
    private readonly factory: SessionFactory,
    private readonly context: SessionContext,
  ) {}

  async send(numbers: readonly number[]): Promise<string[]> {
    // Also from what is started in the scope.
    await this.factory.begin(() => this.queue.sendMany('from-events', numbers), { info: { tenant: 'a' } });
    return Object.keys(this.context.scope.info);
  }
}

@Injectable()
class Listener {
  constructor(private readonly sender: Sender) {}

  @OnEvent('ordered', { suppressErrors: false })
  onOrdered(order: Order): Promise<string[]> {
    return this.sender.send(order.numbers);
  }
}

@Controller()
class Messages {
  constructor(private readonly sender: Sender) {}

  @MessagePattern('order')
  order(numbers: readonly number[]): Promise<string[]> {
    return this.sender.send(numbers);
  }
}

@Injectable()
@JobHandler({ queue: 'from-events', chunkSize: 100, localConcurrency: 1 })
class ChunkHandler implements JobChunkWorker<number, string> {
  constructor(
    private readonly queue: JobQueue,
    private readonly context: SessionContext,
  ) {}

  async handleMany(numbers: readonly number[]): Promise<string[]> {
    await this.queue.send('further', numbers.length);
    const seen = JSON.stringify(this.context.scope.info);
    return numbers.map(() => seen);
  }
}

describe('jobs that are sent while an event or a message is handled', () => {
  let database: TestDatabase;
  let app: TestApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      imports: [EventEmitterModule.forRoot(), JobQueueModule.forRoot({ queues: { further: {} } })],
      controllers: [Messages],
      providers: [Sender, Listener, ChunkHandler] satisfies Type[],
      configure: (application) =>
        application.connectMicroservice({ transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } }),
    });
  });

  afterEach(() => database.query('delete from pgboss.job'));

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const numbers = Array.from({ length: 50 }, (_, nth) => nth);

  async function findEnds(): Promise<unknown[]> {
    await database.until(`select count(*) = 50 from pgboss.job where state = 'completed'`);
    return database.query("select distinct name, output, data -> 'info' as info from pgboss.job order by name");
  }

  const ends = [
    { name: 'from-events', output: { value: '{"queue":"from-events","tenant":"a"}' }, info: { tenant: 'a' } },
    // The queue of the job that sent it does not go along.
    { name: 'further', output: null, info: { tenant: 'a' } },
  ];

  it('have the info that people gave, and share a transaction: a listener', async () => {
    const [known] = (await app
      .get<EventEmitter2>(EventEmitter2)
      .emitAsync('ordered', new Order(numbers))) as string[][];

    expect(known).toEqual(['event', 'payload']);
    expect(await findEnds()).toEqual(ends);
    expect(await database.query(`select from pgboss.job where name = 'further'`)).toHaveLength(1);
  });

  it('have the info that people gave, and share a transaction: a message handler', async () => {
    await app.app.startAllMicroservices();
    const { port } = app.app.getMicroservices()[0]?.unwrap<{ address(): { port: number } }>().address() ?? { port: 0 };
    const client = ClientProxyFactory.create({ transport: Transport.TCP, options: { host: '127.0.0.1', port } });

    const known = await lastValueFrom(client.send<string[]>('order', numbers));
    await client.close();

    expect(known).toEqual(['pattern', 'data', 'context']);
    expect(await findEnds()).toEqual(ends);
    expect(await database.query(`select from pgboss.job where name = 'further'`)).toHaveLength(1);
  });
});
