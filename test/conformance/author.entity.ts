import { Collection } from '@mikro-orm/core';
import { Entity, ManyToOne, OneToMany, PrimaryKey, Property } from '@mikro-orm/decorators/legacy';

@Entity()
export class Author {
  @PrimaryKey({ type: 'integer', unsigned: false })
  id!: number;

  @Property({ type: 'text' })
  name!: string;

  @OneToMany({ entity: () => Book, mappedBy: 'author' })
  books = new Collection<Book>(this);
}

@Entity()
export class Book {
  @PrimaryKey({ type: 'integer', unsigned: false })
  id!: number;

  @Property({ type: 'text' })
  title!: string;

  @ManyToOne({ entity: () => Author })
  author!: Author;
}
