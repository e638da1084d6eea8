import { randomUUID } from 'node:crypto';

import type { AmqpConnection as Connection } from '@golevelup/nestjs-rabbitmq';
import { InjectRepository, MikroOrmModule } from '@mikro-orm/nestjs';
import { EntityManager, EntityRepository } from '@mikro-orm/postgresql';
import {
  type CanActivate,
  type ExecutionContext,
  Inject,
  Injectable,
  type LoggerService,
  UseGuards,
} from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { InjectSession, type Scope, SessionContext, SessionRegistry } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { injections } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

// Jest does not take a package in CommonJS that requires NestJS, while NestJS itself is being loaded.
const { AmqpConnection, RabbitMQModule, RabbitPayload, RabbitRPC, RabbitSubscribe } =
  await import('@golevelup/nestjs-rabbitmq');

const url = process.env['RABBITMQ_URL'];
const describeWithBroker = url === undefined ? describe.skip : describe;
if (url === undefined) {
  process.stderr.write(
    'RabbitMQ is not tested: set RABBITMQ_URL, for example to amqp://guest:guest@127.0.0.1:5672, to test it too.\n',
  );
}

const run = randomUUID();
const exchange = `mikro_session_test.${run}`;
const transient = { durable: false, autoDelete: true };

@Injectable()
class Stage {
  readonly scopes: Scope[] = [];
  readonly guarded: number[] = [];
}

@Injectable()
class SessionGuard implements CanActivate {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly stage: Stage,
  ) {}

  canActivate(_context: ExecutionContext): boolean {
    this.stage.guarded.push(this.session.id);
    return true;
  }
}

@Injectable()
class MailConsumer {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @RabbitSubscribe({ name: 'mail.sent' })
  async sent(@RabbitPayload() { text }: { text: string }): Promise<void> {
    this.session.create(Note, { text });
    await this.session.flush();
  }
}

@Injectable()
class MailHandlers {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    @InjectRepository(Note) private readonly notes: EntityRepository<Note>,
    private readonly context: SessionContext<EntityManager>,
    private readonly stage: Stage,
  ) {}

  @RabbitRPC({ exchange, routingKey: 'mail.add', queue: `${exchange}.add`, queueOptions: transient })
  @UseGuards(SessionGuard)
  async add(@RabbitPayload() { text }: { text: string }): Promise<object> {
    this.stage.scopes.push(this.context.scope);
    this.session.create(Note, { text });
    await this.session.flush();
    const found = await this.notes.find({ text });
    return { sessions: [this.session.id, this.notes.getEntityManager().id], texts: found.map((note) => note.text) };
  }

  @RabbitRPC({
    exchange,
    routingKey: 'mail.fail',
    queue: `${exchange}.fail`,
    queueOptions: transient,
    errorHandler: (channel, message, error: Error) => {
      channel.publish('', message.properties.replyTo as string, Buffer.from(JSON.stringify(error.message)), {
        correlationId: message.properties.correlationId as string,
      });
      channel.ack(message);
    },
  })
  async fail(): Promise<void> {
    this.stage.scopes.push(this.context.scope);
    await this.session.begin();
    await this.session.insert(Note, { text: 'never committed' });
    throw new Error('on purpose');
  }

  @RabbitSubscribe({
    exchange,
    routingKey: 'mail.batch',
    queue: `${exchange}.batch`,
    queueOptions: transient,
    batchOptions: { size: 3, timeout: 10_000 },
  })
  async batch(texts: { text: string }[]): Promise<void> {
    this.stage.scopes.push(this.context.scope);
    texts.forEach(({ text }) => this.session.create(Note, { text }));
    await this.session.flush();
  }
}

@Injectable()
class OwnHandlers {
  constructor(@Inject(REQUEST) private readonly message: { readonly fields: { readonly routingKey: string } }) {}

  @RabbitRPC({ exchange, routingKey: 'own.message', queue: `${exchange}.own`, queueOptions: transient })
  async own(): Promise<string> {
    return this.message.fields.routingKey;
  }
}

/** The package logs each handler that it registers. */
const silent: LoggerService = { log() {}, error() {}, warn() {} };

describeWithBroker.each(injections)('a handler of @golevelup/nestjs-rabbitmq, with %s injection', (injection) => {
  let stage: Stage;
  let connection: Connection;

  const { app, database } = useTestApp({
    session: { injection },
    imports: [
      MikroOrmModule.forFeature([Note]),
      RabbitMQModule.forRoot({
        uri: url ?? '',
        exchanges: [{ name: exchange, type: 'topic', options: transient }],
        handlers: {
          'mail.sent': { exchange, routingKey: 'mail.sent', queue: `${exchange}.mail`, queueOptions: transient },
        },
        connectionInitOptions: { wait: true },
        logger: silent,
      }),
    ],
    providers: [Stage, { provide: 'MAIL', useClass: MailConsumer }, MailHandlers, OwnHandlers],
  });

  beforeAll(() => {
    stage = app.get(Stage);
    connection = app.get(AmqpConnection);
  });

  beforeEach(async () => {
    await database.query('delete from note');
    stage.scopes.length = 0;
    stage.guarded.length = 0;
  });

  const request = <Answer>(routingKey: string, text = ''): Promise<Answer> =>
    connection.request<Answer>({ exchange, routingKey, payload: { text }, timeout: 10_000 });

  it('writes what a message says', async () => {
    await connection.publish(exchange, 'mail.sent', { text: 'a mail' });

    await database.until(`select count(*) = 1 from note where text = 'a mail'`);
    expect(await database.query('select text from note')).toEqual([{ text: 'a mail' }]);
  });

  it('has one session for all that is done for a message, guards too, and another for each', async () => {
    const texts = Array.from({ length: 20 }, (_, i) => `note ${i}`);

    const answers = await Promise.all(
      texts.map((text) => request<{ sessions: number[]; texts: string[] }>('mail.add', text)),
    );

    expect(answers.map((answer) => answer.texts)).toEqual(texts.map((text) => [text]));
    const ids = answers.map(({ sessions }) => new Set(sessions));
    expect(ids.map(({ size }) => size)).toEqual(texts.map(() => 1));
    expect(new Set(ids.flatMap((own) => [...own]))).toEqual(new Set(stage.guarded));
    expect(new Set(stage.guarded).size).toBe(20);
  });

  it('runs in a scope that is named after it, and that has ended when it is answered', async () => {
    await request('mail.add', 'one');

    const [scope] = stage.scopes;
    expect(scope).toMatchObject({
      kind: 'message',
      label: 'message "mail.add" in MailHandlers.add',
      state: 'closed',
      info: { exchange, routingKey: 'mail.add', data: { text: 'one' } },
    });
  });

  it('is rolled back when it fails, before the message is rejected', async () => {
    using log = new CapturedLog();

    expect(await request('mail.fail')).toBe('on purpose');
    expect(log.errors).toHaveLength(1);

    expect(stage.scopes.map(({ state }) => state)).toEqual(['closed']);
    expect(await database.countOpenTransactions()).toBe(0);
    expect(await database.query('select * from note')).toEqual([]);
  });

  it('has one session for a batch', async () => {
    await Promise.all(['a', 'b', 'c'].map((text) => connection.publish(exchange, 'mail.batch', { text })));

    await database.until(`select count(*) = 3 from note`);
    expect(stage.scopes.map(({ label }) => label)).toEqual(['message "mail.batch" in MailHandlers.batch']);
  });

  it('is made for each message where its class is request-scoped by what it injects: the message', async () => {
    expect(await request('own.message')).toBe('own.message');
  });

  it('leaves no scope behind', () => {
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
  });
});
