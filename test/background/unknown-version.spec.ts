import { MikroOrmModule } from '@mikro-orm/nestjs';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { SessionModule } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { ormOptions } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

@Injectable()
class ScheduleExplorer {}

@Injectable()
class EventSubscribersLoader {
  subscribe(): void {}
}

@Injectable()
class RabbitMQModule {}

@Injectable()
class ProcessorDecoratorService {}

@Injectable()
class UnhandledExceptionBus {}

/** Makes workers as @nestjs/bullmq does, which are not as they were. */
@Injectable()
class BullExplorer {
  readonly workers: object[] = [];

  registerWorkers(): void {}

  handleProcessor(): void {
    this.workers.push({});
  }
}

describe('SessionModule beside a package whose inside it does not know', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  it.each([
    [ScheduleExplorer, 'the ticks of @nestjs/schedule', 'ScheduleExplorer', '@nestjs/schedule', 'nestjs/schedule'],
    [
      EventSubscribersLoader,
      'the listeners of @nestjs/event-emitter',
      'EventSubscribersLoader',
      '@nestjs/event-emitter',
      'nestjs/event-emitter',
    ],
    [
      RabbitMQModule,
      'the messages of @golevelup/nestjs-rabbitmq',
      'RabbitMQModule',
      '@golevelup/nestjs-rabbitmq',
      'golevelup/rabbitmq',
    ],
    [UnhandledExceptionBus, 'the event handlers and sagas of @nestjs/cqrs', 'EventBus', '@nestjs/cqrs', 'nestjs/cqrs'],
    [ProcessorDecoratorService, 'BullMQ jobs', 'BullExplorer', '@nestjs/bullmq', 'nestjs/bullmq'],
  ])('warns at start of %p, and starts', async (unknown, what, name, of, seam) => {
    const module = await Test.createTestingModule({
      imports: [MikroOrmModule.forRoot(ormOptions(database.url)), SessionModule.forRoot()],
      providers: [unknown],
    }).compile();
    using log = new CapturedLog();

    await module.init();

    expect(log.warnings).toEqual([
      expect.stringMatching(
        new RegExp(
          `^No sessions are opened for ${what}: "${name}" of ${of} \\d+\\.\\d+\\.\\d+ is not the one that this library knows ` +
            `\\(seam "${seam}"\\)\\. Open one in each with @InSession\\(\\), and look for a newer version of ` +
            'nestjs-mikro-session\\.$',
        ),
      ),
    ]);
    await module.close();
  });

  it('warns of workers of BullMQ that it does not know', async () => {
    const module = await Test.createTestingModule({
      imports: [MikroOrmModule.forRoot(ormOptions(database.url)), SessionModule.forRoot()],
      providers: [BullExplorer],
    }).compile();
    using log = new CapturedLog();
    await module.init();

    module.get(BullExplorer).handleProcessor();

    expect(log.warnings).toEqual([
      expect.stringMatching(
        /^No sessions are opened for BullMQ jobs: "Worker" of bullmq [\d.]+ is .*"bullmq\/process-fn"/,
      ),
    ]);
    await module.close();
  });

  it('says nothing where there is no such package', async () => {
    const module = await Test.createTestingModule({
      imports: [MikroOrmModule.forRoot(ormOptions(database.url)), SessionModule.forRoot()],
    }).compile();
    using log = new CapturedLog();

    await module.init();

    expect(log.warnings).toEqual([]);
    await module.close();
  });
});
