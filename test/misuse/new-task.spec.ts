import { type EntityManager, RequestContext } from '@mikro-orm/postgresql';
import { Transactional } from '@mikro-orm/decorators/legacy';
import { JobService, SessionContext, SessionFactory } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { injections } from '../support/test-app.js';
import { describeUnless } from '../support/unless.js';
import { useTestApp } from '../support/use-test-app.js';

type Work = () => Promise<unknown[]>;

class Writer {
  constructor(readonly em: EntityManager) {}

  @Transactional()
  async write(work: Work): Promise<unknown[]> {
    this.em.create(Note, { text: 'uncommitted' });
    await this.em.flush();
    return work();
  }
}

const ONE = { sqlite: 'Within a transaction nobody else has a connection there.' };

describeUnless(ONE).each(injections)('a new task with %s injection', (injection) => {
  let factory: SessionFactory<EntityManager>;

  const { app, database } = useTestApp({ session: { injection } });

  beforeAll(() => {
    factory = app.get(SessionFactory);
  });

  afterEach(() => database.query('delete from note'));

  const write = async (em: EntityManager, work: Work): Promise<unknown[]> => {
    em.create(Note, { text: 'uncommitted' });
    await em.flush();
    return work();
  };

  const surroundings: Record<string, (work: Work) => Promise<unknown[]>> = {
    'em.transactional()': (work) => app.orm.em.fork().transactional((em) => write(em, work)),
    'session.transactional()': (work) => factory.run((session) => session.transactional((em) => write(em, work))),
    'an open begin()': (work) =>
      factory.run(async (session) => {
        await session.begin();
        return write(session, work);
      }),
    'SessionFactory.begin()': (work) => factory.begin((session) => write(session, work)),
    'a @Transactional() method': (work) => factory.run(() => new Writer(app.orm.em).write(work)),
    'a RequestContext of MikroORM': (work) => RequestContext.create(app.orm.em, work),
    'a @Transactional() method in a RequestContext': (work) =>
      RequestContext.create(app.orm.em, () => new Writer(app.orm.em).write(work)),
  };

  it.each(Object.keys(surroundings))('has a session and no transaction of %s around it', async (name) => {
    const context = app.get<SessionContext<EntityManager>>(SessionContext);
    const outside = context.tryCurrent;
    const look = async (session: EntityManager): Promise<unknown[]> => [
      session.isInTransaction(),
      app.orm.em.id === session.id && context.current === session && session !== outside,
      await app.orm.em.count(Note),
    ];

    const seen = await surroundings[name]!(() =>
      app.get<JobService<EntityManager>>(JobService).map([1, 2], look, { transaction: 'none' }),
    );

    expect(seen).toEqual([
      [false, true, 0],
      [false, true, 0],
    ]);
  });
});
