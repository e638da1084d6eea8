import { MikroORM, TransactionPropagation } from '@mikro-orm/core';
import type { EntityManager, EntityRepository } from '@mikro-orm/postgresql';
import { getRepositoryToken, MikroOrmModule } from '@mikro-orm/nestjs';
import { JobService, SessionContext, SessionFactory } from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { injections, startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

class OnPurpose extends Error {}

describe.each(injections)('the transactions of a session, with %s injection', (injection) => {
  let database: TestDatabase;
  let app: TestApp;
  let factory: SessionFactory<EntityManager>;
  let orm: { readonly em: EntityManager };

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      session: { injection },
      imports: [MikroOrmModule.forFeature([Note])],
    });
    factory = app.get(SessionFactory);
    orm = app.get(MikroORM);
  });

  afterEach(() => database.query('delete from note'));

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const texts = (): Promise<string[]> => findTexts(database);

  const write = (em: EntityManager, text: string): Promise<void> => {
    em.create(Note, { text });
    return em.flush();
  };

  describe.each([TransactionPropagation.REQUIRES_NEW, TransactionPropagation.NOT_SUPPORTED])(
    'after a transactional() with %s',
    (propagation) => {
      it('commits what comes before and after it with the transaction around it', async () => {
        await factory.begin(async (session) => {
          await write(session, 'before');
          await session.transactional((em) => write(em, 'apart'), { propagation });
          expect(session.isInTransaction()).toBe(true);
          expect(await texts()).toEqual(['apart']);
          await write(session, 'after');
        });

        expect((await texts()).toSorted()).toEqual(['after', 'apart', 'before']);
      });

      it('keeps what runs beside it in the transaction around it', async () => {
        const ways: Record<string, (session: EntityManager, text: string) => Promise<unknown>> = {
          insert: (session, text) => session.insert(Note, { text }),
          'native update': (session, text) => session.nativeUpdate(Note, { text: 'old' }, { text }),
          'a statement': (session, text) => session.execute('insert into note (text) values (?)', [text]),
          'the query builder': (_session, text) => orm.em.createQueryBuilder(Note).insert({ text }).execute(),
          Kysely: (session, text) =>
            session.getKysely<{ note: { text: string } }>().insertInto('note').values({ text }).execute(),
        };

        for (const [name, way] of Object.entries(ways)) {
          const work = factory.begin(async (session) => {
            const isBegun = Promise.withResolvers<void>();
            const isOver = Promise.withResolvers<void>();
            const apart = session.transactional(
              async (em) => {
                await write(em, 'apart');
                isBegun.resolve();
                await isOver.promise;
              },
              { propagation },
            );
            const atOnce = way(session, `beside: ${name}`);
            await isBegun.promise;
            expect(session.isInTransaction()).toBe(true);
            await way(session, `beside: ${name}`);
            isOver.resolve();
            await Promise.all([apart, atOnce]);
            throw new OnPurpose();
          });
          await expect(work).rejects.toThrow(OnPurpose);
        }

        expect(new Set(await texts())).toEqual(new Set(['apart']));
      });

      it('rolls back what comes before and after it', async () => {
        const outcomes = await app.get<JobService<EntityManager>>(JobService).settle([1], async (session) => {
          await write(session, 'before');
          await session.transactional((em) => write(em, 'apart'), { propagation });
          await write(session, 'after');
          throw new OnPurpose();
        });

        expect(outcomes).toMatchObject([{ status: 'rejected', reason: expect.any(OnPurpose) }]);
        expect(await texts()).toEqual(['apart']);
      });

      it('goes on with the transaction around it when the inner one throws', async () => {
        await factory.begin(async (session) => {
          await write(session, 'before');
          await expect(
            session.transactional(
              async () => {
                throw new OnPurpose();
              },
              { propagation },
            ),
          ).rejects.toThrow(OnPurpose);
          await write(session, 'after');
        });

        expect(await texts()).toEqual(['before', 'after']);
      });

      it('goes on with the savepoint around it', async () => {
        await factory.begin(async (session) => {
          await expect(
            session.transactional(async (em) => {
              await write(em, 'before');
              await em.transactional((inner) => write(inner, 'apart'), { propagation });
              await write(em, 'after');
              throw new OnPurpose();
            }),
          ).rejects.toThrow(OnPurpose);
          await write(session, 'last');
        });

        expect(await texts()).toEqual(['apart', 'last']);
      });

      it('goes on with a transaction begun by hand', async () => {
        await factory.run(async (session) => {
          await session.begin();
          await session.transactional((em) => write(em, 'apart'), { propagation });
          await write(session, 'by hand');
          await session.rollback();
        });

        expect(await texts()).toEqual(['apart']);
      });
    },
  );

  describe('the transaction of a fork of orm.em', () => {
    const save = async (): Promise<void> => {
      const repository = app.get<EntityRepository<Note>>(getRepositoryToken(Note));
      orm.em.create(Note, { text: 'orm.em' });
      repository.create({ text: 'repository' });
      app.get<SessionContext<EntityManager>>(SessionContext).current.create(Note, { text: 'context' });
      await repository.getEntityManager().flush();
    };

    it.each([TransactionPropagation.REQUIRES_NEW, TransactionPropagation.NOT_SUPPORTED])(
      'keeps what runs beside a transactional() with %s',
      async (propagation) => {
        const inScope = (work: () => Promise<void>): Promise<void> => factory.run(work);
        const outside = (work: () => Promise<void>): Promise<void> => work();

        for (const run of [inScope, outside]) {
          const rolledBack = run(() =>
            orm.em.fork().transactional(async (fork) => {
              const apart = fork.transactional((em) => write(em, 'apart'), { propagation });
              await Promise.all([apart, orm.em.insert(Note, { text: 'beside' })]);
              throw new OnPurpose();
            }),
          );
          await expect(rolledBack).rejects.toThrow(OnPurpose);
        }

        expect(await texts()).toEqual(['apart', 'apart']);
      },
    );

    it('is joined by all that answers with the session', async () => {
      await factory.run(async () => {
        await expect(
          orm.em.fork().transactional(async () => {
            await save();
            expect(await orm.em.count(Note)).toBe(3);
            throw new OnPurpose();
          }),
        ).rejects.toThrow(OnPurpose);
        expect(await texts()).toEqual([]);

        await orm.em.fork().transactional(save);
        expect(await texts()).toHaveLength(3);
      });
    });

    it('is joined where the fork was made outside of every scope', async () => {
      const fork = orm.em.fork();

      await factory.run(async () => {
        await expect(
          fork.transactional(async () => {
            await save();
            throw new OnPurpose();
          }),
        ).rejects.toThrow(OnPurpose);
      });

      expect(await texts()).toEqual([]);
    });

    it('is not joined by a scope of its own within it', async () => {
      await factory.run(async () => {
        await expect(
          orm.em.fork().transactional(async () => {
            await factory.begin((session) => write(session, 'apart'));
            throw new OnPurpose();
          }),
        ).rejects.toThrow(OnPurpose);
      });

      expect(await texts()).toEqual(['apart']);
    });
  });

  describe('ignoreNestedTransactions', () => {
    it('runs nested transactional() calls and flushes one after the other', async () => {
      await factory.run(async (session) => {
        await session.transactional(
          async (em) => {
            await write(em, 'one');
            await em.transactional(async (inner) => {
              await write(inner, 'two');
              await inner.transactional((innermost) => write(innermost, 'three'));
            });
            await em.begin();
            await write(em, 'four');
            await em.commit();
          },
          { ignoreNestedTransactions: true },
        );
      });

      expect(await texts()).toEqual(['one', 'two', 'three', 'four']);
    });
  });
});

describe('a session of a MikroORM with disableTransactions', () => {
  it('runs blocks, begin() and flushes one after the other', async () => {
    const database = await createTestDatabase();
    const app = await startTestApp({ databaseUrl: database.url, orm: { disableTransactions: true } });
    const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);

    await factory.begin(async (session) => {
      await session.transactional(async (em) => {
        em.create(Note, { text: 'one' });
        await em.flush();
        await em.transactional((inner) => inner.persist(inner.create(Note, { text: 'two' })).flush());
      });
      session.create(Note, { text: 'three' });
    });

    expect(await database.query('select text from note')).toHaveLength(3);
    await app.close();
    await database.drop();
  });
});
