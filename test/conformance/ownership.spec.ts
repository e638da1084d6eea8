import { type EntityManager, type EventSubscriber, QueryOrder, wrap } from '@mikro-orm/postgresql';
import {
  ConcurrentSessionUseError,
  EntityOwnershipError,
  SessionClosedError,
  SessionFactory,
  SessionRegistry,
  SessionStateError,
} from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';
import { Author, Book } from './author.entity.js';

describe('the owner of a session and of its entities', () => {
  let factory: SessionFactory<EntityManager>;
  let subscriber: EventSubscriber = {};

  const { app, database } = useTestApp({ orm: { entities: [Note, Author, Book] } });

  beforeAll(() => {
    factory = app.get(SessionFactory);
    app.orm.em.getEventManager().registerSubscriber({
      beforeFlush: (args) => subscriber.beforeFlush?.(args),
      onFlush: (args) => subscriber.onFlush?.(args),
      afterFlush: (args) => subscriber.afterFlush?.(args),
    });
  });

  beforeEach(async () => {
    await database.query(`insert into note (id, text) values (-1, 'one'), (-2, 'two')`);
    await database.query(`insert into author (id, name) values (-1, 'Ada')`);
    await database.query(`insert into book (id, title, author_id) values (-1, 'Notes', -1)`);
  });

  afterEach(async () => {
    subscriber = {};
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
    await database.query('delete from book; delete from author; delete from note');
  });

  const ownerOf = (entity: object): unknown => wrap(entity, true).__em;

  // SQLAlchemy test/orm/test_session.py test_already_attached
  it('keeps an entity from other sessions, which stay as they were', async () => {
    await using owner = factory.create();
    await using other = factory.create();
    const loaded = await owner.findOneOrFail(Note, { id: -1 });
    const added = owner.create(Note, { text: 'new' });

    for (const entity of [loaded, added]) {
      expect(() => other.persist(entity)).toThrow(EntityOwnershipError);
    }

    expect(other.getUnitOfWork().getIdentityMap().values()).toEqual([]);
    expect(other.getUnitOfWork().getPersistStack().size).toBe(0);
    expect(ownerOf(loaded)).toBe(owner);
    await owner.flush();
  });

  // SQLAlchemy test/orm/test_lazy_relations.py test_needs_parent
  it('loads nothing more for an entity whose session has ended', async () => {
    const left = await factory.run((session) => session.findOneOrFail(Author, { id: -1 }));

    await expect(left.books.loadItems()).rejects.toThrow(SessionClosedError);
    await expect(wrap(left).populate(['books'])).rejects.toThrow(SessionClosedError);
  });

  // SQLAlchemy test/orm/test_session.py test_unbuffered_result_session_is_closed
  it('refuses to read on from a result after the session was closed', async () => {
    const session = factory.create();
    const unread = session.stream(Note, { orderBy: { id: QueryOrder.ASC } });
    const halfRead = session.stream(Note, { orderBy: { id: QueryOrder.ASC } });
    expect(await halfRead.next()).toMatchObject({ value: { text: 'two' } });

    await session.close();

    await expect(unread.next()).rejects.toThrow(SessionClosedError);
    await expect(halfRead.next()).rejects.toThrow(SessionClosedError);
  });

  // SQLAlchemy test/ext/asyncio/test_session.py test_async_object_session
  it('is known to each entity until the session is closed, after which another may have it', async () => {
    const [one, two] = [factory.create(), factory.create()];
    const ofOne = await one.findOneOrFail(Note, { id: -1 });
    const ofTwo = two.create(Note, { text: 'new' });
    await two.flush();
    const ofNone = new Note();

    await using three = factory.create();
    expect(ownerOf(ofOne)).toBe(one);
    expect(ownerOf(ofTwo)).toBe(two);
    expect(ownerOf(ofNone)).toBeUndefined();
    expect(() => three.merge(ofOne)).toThrow(EntityOwnershipError);

    await one.close();
    await two.close();
    for (const entity of [ofOne, ofTwo]) {
      three.merge(entity);
      expect(ownerOf(entity)).toBe(three);
    }
  });

  // SQLAlchemy test/orm/test_session_state_change.py test_method_w_no_change_illegal_inner_change
  it.each<['begin' | 'commit' | 'rollback' | 'flush', keyof EventSubscriber & `${string}Flush`]>([
    ['begin', 'beforeFlush'],
    ['begin', 'onFlush'],
    ['commit', 'onFlush'],
    ['rollback', 'onFlush'],
    ['flush', 'onFlush'],
    ['commit', 'afterFlush'],
  ])('refuses %s() while a flush is at %s, and names both', async (operation, event) => {
    const refused: unknown[] = [];
    subscriber = {
      [event]: async ({ em }: { em: EntityManager }) => {
        subscriber = {};
        await em[operation]().catch((error: unknown) => refused.push(error));
      },
    };

    await factory.run(async (session) => {
      session.create(Note, { id: -3, text: 'three' });
      await session.flush();
      expect(session.isInTransaction()).toBe(false);
    });

    expect(refused).toEqual([expect.any(ConcurrentSessionUseError)]);
    expect(refused).toMatchObject([
      {
        message: expect.stringContaining(
          `${operation}() was called on the session of "SessionFactory.run" while its flush() was still running.`,
        ),
      },
    ]);
    expect(await database.query('select text from note where id = -3')).toEqual([{ text: 'three' }]);
  });

  // SQLAlchemy test/orm/test_session_state_change.py test_invalid_prereq_state
  it('names the state that does not allow an operation', async () => {
    await factory.run(async (session) => {
      await expect(session.commit()).rejects.toThrow('An open transaction is required');
      await session.begin();
      await expect(session.begin()).rejects.toThrow(
        new SessionStateError(
          'begin() was called on the session of "SessionFactory.run", which has a transaction open already. ' +
            'Use session.transactional() for a savepoint.',
        ),
      );
    });
    await factory.begin(async (session) => {
      await expect(session.commit()).rejects.toThrow(
        'commit() was called on the session of "SessionFactory.begin", whose transaction is ended by the block that began it',
      );
    });
    const ended = await factory.run((session) => session);
    await expect(ended.begin()).rejects.toThrow(
      'The session of "SessionFactory.run" was used after its end: it had returned.',
    );
  });
});
