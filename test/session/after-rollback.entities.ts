import { Collection, type Opt } from '@mikro-orm/core';
import {
  Embeddable,
  Embedded,
  Entity,
  ManyToMany,
  ManyToOne,
  OneToMany,
  PrimaryKey,
  Property,
} from '@mikro-orm/decorators/legacy';

@Embeddable()
export class Place {
  @Property({ type: 'text' })
  city!: string;

  @Property({ type: 'text', nullable: true })
  street?: string | null;
}

@Entity()
export class Writer {
  @PrimaryKey({ type: 'integer' })
  id!: number;

  @Property({ type: 'text', unique: true })
  name!: string;

  @Property({ type: 'json', nullable: true })
  traits?: Record<string, unknown> | null;

  @Property({ type: 'datetime', nullable: true })
  born?: Date | null;

  @Property({ type: 'text', nullable: true, lazy: true })
  story?: string | null;

  @Property({ type: 'integer', version: true })
  version!: Opt<number>;

  @Embedded({ entity: () => Place, nullable: true })
  home?: Place | null;

  @OneToMany({ entity: () => Novel, mappedBy: 'writer' })
  novels = new Collection<Novel>(this);
}

@Entity()
export class Genre {
  @PrimaryKey({ type: 'integer' })
  id!: number;

  @Property({ type: 'text' })
  name!: string;
}

@Entity()
export class Novel {
  @PrimaryKey({ type: 'integer' })
  id!: number;

  @Property({ type: 'text' })
  title!: string;

  @ManyToOne({ entity: () => Writer, nullable: true })
  writer?: Writer | null;

  @ManyToMany({ entity: () => Genre })
  genres = new Collection<Genre>(this);
}
