import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Injectable } from '@nestjs/common';
import { EventPattern, KafkaRetriableException, MessagePattern, Payload, ServerKafka } from '@nestjs/microservices';
import { InjectSession, SessionContext, SessionRegistry } from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { itSince } from '../support/since.js';
import { injections, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const TOPICS_BY_EXPRESSION = {
  version: '12.0.0',
  reason: 'NestJS takes regular expressions as topics of Kafka since 12.',
};

/** What NestJS does with a message of Kafka, without a broker: kafkajs would call it so, and send the answer. */
class KafkaWithoutBroker extends ServerKafka {
  /** The answer to a message. */
  readonly sent = Promise.withResolvers<unknown>();

  constructor() {
    super({});
  }

  override async listen(callback: () => void): Promise<void> {
    callback();
  }

  /** Settles when kafkajs would take the message for worked on. */
  eachMessage(topic: string, value: string, headers: Record<string, string> = {}): Promise<unknown> {
    return this.handleMessage({ topic, partition: 0, message: { key: null, value, headers } } as never);
  }

  override async sendMessage(...[message, topic, , id]: Parameters<ServerKafka['sendMessage']>): Promise<never> {
    this.sent.resolve({ ...message, topic, id });
    return [] as never;
  }
}

@Injectable()
class Writer {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async write(text: string): Promise<void> {
    await this.session.transactional((em) => void em.create(Note, { text }));
  }
}

@Controller()
class NotesConsumer {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly writer: Writer,
    private readonly context: SessionContext,
  ) {}

  @EventPattern('note.added')
  async added(@Payload() text: string): Promise<void> {
    await this.writer.write(text);
    this.session.create(Note, { text: `${this.context.scope.label} has ${await this.session.count(Note)}` });
    await this.session.flush();
  }

  @EventPattern(/^note\.re.*$/)
  async matched(): Promise<void> {
    await this.writer.write(this.context.scope.label);
  }

  @EventPattern('note.refused')
  async refused(@Payload() text: string): Promise<void> {
    await this.session.begin();
    await this.session.insert(Note, { text });
    throw new KafkaRetriableException('again');
  }

  @MessagePattern('note.count')
  async count(): Promise<number> {
    return this.session.count(Note);
  }
}

describe.each(injections)('a consumer of Kafka, with %s injection', (injection) => {
  let database: TestDatabase;
  let app: TestApp;
  let kafka: KafkaWithoutBroker;

  beforeAll(async () => {
    database = await createTestDatabase();
    kafka = new KafkaWithoutBroker();
    app = await startTestApp({
      databaseUrl: database.url,
      session: { injection },
      controllers: [NotesConsumer],
      providers: [Writer],
      configure: (nest) => nest.connectMicroservice({ strategy: kafka }),
    });
    await app.app.startAllMicroservices();
  });

  afterEach(async () => {
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
    await database.query('delete from note');
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const texts = (): Promise<string[]> => findTexts(database);

  it('has a session per event, which has ended before the next message of the partition', async () => {
    await kafka.eachMessage('note.added', 'first');

    expect(await texts()).toEqual(['first', 'event "note.added" (Kafka) has 1']);
  });

  itSince('@nestjs/core', TOPICS_BY_EXPRESSION)(
    'names the scope after the regular expression that the topic matches',
    async () => {
      await kafka.eachMessage('note.removed', '');

      expect(await texts()).toEqual(['event /^note\\.re.*$/ (Kafka)']);
    },
  );

  it('rolls back what a handler left open, and lets Kafka send the message again', async () => {
    await expect(kafka.eachMessage('note.refused', 'lost')).rejects.toThrow(KafkaRetriableException);

    expect(await texts()).toEqual([]);
  });

  it('has a session per message that is answered', async () => {
    await kafka.eachMessage('note.count', '', { kafka_correlationId: '7', kafka_replyTopic: 'note.count.reply' });

    expect(await kafka.sent.promise).toMatchObject({ response: 0, topic: 'note.count.reply', id: '7' });
  });
});
