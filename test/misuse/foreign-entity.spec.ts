import { Collection, type EntityManager, type Rel } from '@mikro-orm/postgresql';
import { Entity, ManyToOne, OneToMany, PrimaryKey, Property } from '@mikro-orm/decorators/legacy';
import { EntityOwnershipError, SessionFactory } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

@Entity()
class Author {
  @PrimaryKey({ type: 'integer' })
  id!: number;

  @Property({ type: 'text' })
  name!: string;

  @OneToMany(() => Book, (book: Book) => book.author)
  books = new Collection<Book>(this);
}

@Entity()
class Book {
  @PrimaryKey({ type: 'integer' })
  id!: number;

  @Property({ type: 'text' })
  title!: string;

  @ManyToOne(() => Author)
  author!: Rel<Author>;

  @ManyToOne(() => Author, { nullable: true })
  reviewer?: Rel<Author> | null;
}

describe('an entity that another live session manages', () => {
  let factory: SessionFactory<EntityManager>;

  const { app, database } = useTestApp({ orm: { entities: [Note, Author, Book] } });

  beforeAll(() => {
    factory = app.get(SessionFactory);
  });

  beforeEach(async () => {
    await database.empty('book', 'author');
    await database.query(`insert into author (name) values ('Ann')`);
  });

  it.each(['persist', 'remove', 'merge', 'lock'] as const)(
    'is refused by %s, and neither session is changed',
    async (operation) => {
      await using owner = factory.create({ label: 'owner' });
      await using other = factory.create({ label: 'other' });
      const ann = await owner.findOneOrFail(Author, { name: 'Ann' });
      const operations = {
        persist: async () => other.persist(ann),
        remove: async () => other.remove(ann),
        merge: async () => other.merge(ann),
        lock: () => other.transactional((inner) => inner.lock(ann, 'pessimistic_write' as never)),
      };

      await expect(operations[operation]()).rejects.toThrow(
        new EntityOwnershipError('Author 1', operation, 'owner', 'other'),
      );

      expect(other.getUnitOfWork().getPersistStack().size + other.getUnitOfWork().getRemoveStack().size).toBe(0);
      ann.name = 'Ann of owner';
      await other.flush();
      expect(await database.query('select name from author')).toEqual([{ name: 'Ann' }]);
      await owner.flush();
      expect(await database.query('select name from author')).toEqual([{ name: 'Ann of owner' }]);
    },
  );

  it('is refused when it is new and was only persisted', async () => {
    await using owner = factory.create();
    await using other = factory.create();
    const bob = new Author();
    bob.name = 'Bob';
    owner.persist(bob);

    expect(() => other.persist(bob)).toThrow(EntityOwnershipError);

    await other.flush();
    expect(await database.query('select name from author')).toEqual([{ name: 'Ann' }]);
    await owner.flush();
    expect(await database.query('select name from author order by 1')).toEqual([{ name: 'Ann' }, { name: 'Bob' }]);
  });

  it('is refused when it waits on after a transaction of its session was rolled back', async () => {
    await using owner = factory.create();
    await using other = factory.create();
    const bob = owner.create(Author, { name: 'Bob' });
    const failing = owner.transactional(async (transaction) => {
      await transaction.flush();
      throw new Error('on purpose');
    });
    await expect(failing).rejects.toThrow('on purpose');

    expect(() => other.persist(bob)).toThrow(EntityOwnershipError);

    await owner.flush();
    expect(await database.query('select name from author order by 1')).toEqual([{ name: 'Ann' }, { name: 'Bob' }]);
  });

  const ways: readonly [string, (owner: EntityManager, author: Author) => unknown][] = [
    ['clear()', (owner) => owner.clear()],
    ['remove()', (owner, author) => owner.remove(author)],
  ];

  it.each(ways)('is free again when it is new and its session has given it up with %s', async (_name, giveUp) => {
    await using owner = factory.create();
    await using other = factory.create();
    const bob = new Author();
    bob.name = 'Bob';
    owner.persist(bob);
    giveUp(owner, bob);

    await other.persist(bob).flush();
    await owner.flush();

    expect(await database.query('select name from author order by 1')).toEqual([{ name: 'Ann' }, { name: 'Bob' }]);
    expect(() => owner.persist(bob)).toThrow(EntityOwnershipError);
  });

  it('is refused as a relation, before any SQL is sent', async () => {
    await using owner = factory.create();
    await using other = factory.create();
    const ann = await owner.findOneOrFail(Author, { name: 'Ann' });
    const eve = other.merge(Author, { id: 5, name: 'Eve' });
    const book = new Book();
    book.title = 'Borrowed';
    book.author = eve;
    other.persist(book);
    book.reviewer = ann;

    await expect(other.flush()).rejects.toThrow('Author 1 is managed by the session of "SessionFactory.create"');

    expect(await database.query('select * from book')).toEqual([]);
    expect(owner.getUnitOfWork().getById(Author, 1)).toBe(ann);
  });

  it('may be attached to another session after the end of its own', async () => {
    const ann = await factory.run((session) => session.findOneOrFail(Author, { name: 'Ann' }));

    await factory.begin((session) => {
      session.merge(ann);
      ann.name = 'Ann again';
    });

    expect(await database.query('select name from author')).toEqual([{ name: 'Ann again' }]);
  });

  it('may be used freely in the transactions of its session', async () => {
    await factory.run(async (session) => {
      const ann = await session.findOneOrFail(Author, { name: 'Ann' });

      await session.transactional(async (inner) => {
        inner.create(Book, { title: 'Own', author: ann });
        await inner.transactional(async (innermost) => {
          innermost.create(Book, { title: 'Nested', author: ann });
        });
      });
      session.create(Book, { title: 'After', author: ann });
      await session.flush();
    });

    expect(await database.query('select title from book order by id')).toEqual([
      { title: 'Own' },
      { title: 'Nested' },
      { title: 'After' },
    ]);
  });
});
