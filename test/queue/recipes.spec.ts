import { Entity, PrimaryKey, Property } from '@mikro-orm/decorators/legacy';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { InjectSession, InSession, JobService, type JobWorker, SessionFactory } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueHealthIndicator, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    'ship-order': number;
    unshipped: number;
  }
}

@Entity()
class Order {
  @PrimaryKey({ type: 'integer' })
  id!: number;

  @Property({ type: 'text' })
  article!: string;

  @Property({ type: 'text' })
  state!: string;
}

@Injectable()
class Shop {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly queue: JobQueue,
  ) {}

  @InSession({ transaction: true })
  async order(article: string): Promise<number> {
    const order = this.session.create(Order, { article, state: 'new' });
    await this.session.flush();
    await this.queue.send('ship-order', order.id);
    return order.id;
  }
}

@Injectable()
@JobHandler({ queue: 'ship-order', retryLimit: 5, retryBackoff: true, deadLetter: 'unshipped' })
class ShipOrder implements JobWorker<number, void> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handle(id: number): Promise<void> {
    const order = await this.session.findOneOrFail(Order, id);
    order.state = 'shipped';
  }
}

@Injectable()
class Health {
  constructor(
    private readonly health: HealthCheckService,
    private readonly queue: JobQueueHealthIndicator,
  ) {}

  check(): ReturnType<HealthCheckService['check']> {
    const { health } = this;
    return health.check([() => this.queue.check('queue')]);
  }
}

describe('docs/durable-jobs.md', () => {
  const { app, database } = useTestApp({
    imports: [JobQueueModule.forRoot(), TerminusModule],
    providers: [Shop, ShipOrder, Health],
    session: { injection: 'contextual' },
    orm: { entities: [Note, Order] },
  });

  it('sends with an order, and ships it', async () => {
    const id = await app.get<Shop>(Shop).order('book');

    await database.until(`select state = 'shipped' from "order" where id = $1`, [id]);
    await database.until(`select state = 'completed' from pgboss.job where data = $1`, [{ input: id }]);
    expect(await app.get<JobQueue>(JobQueue).redrive('unshipped')).toBe(0);
  });

  it('runs the same class with JobService', async () => {
    const jobs = app.get<JobService<EntityManager>>(JobService);
    const sessions = app.get<SessionFactory<EntityManager>>(SessionFactory);
    const order = await sessions.begin((session) => session.create(Order, { article: 'pen', state: 'new' }));

    await jobs.map([order.id], ShipOrder);

    expect(await database.query('select state from "order" where id = $1', [order.id])).toEqual([{ state: 'shipped' }]);
  });

  it('is part of a health check', async () => {
    const { status, details } = await app.get<Health>(Health).check();

    expect(status).toBe('ok');
    expect(details['queue']).toMatchObject({ status: 'up', queues: { 'ship-order': { active: 0, failed: 0 } } });
  });
});
