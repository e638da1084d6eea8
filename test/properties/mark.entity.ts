import { Entity, PrimaryKey, Property, Unique } from '@mikro-orm/decorators/legacy';

/** One write of a program. A tag can be written once: a second row with it is refused. */
@Entity()
@Unique({ properties: ['late'], deferMode: 'deferred' })
export class Mark {
  @PrimaryKey({ type: 'integer' })
  id!: number;

  @Property({ type: 'text' })
  @Unique()
  tag!: string;

  /** Unique as well, which the database looks at when the transaction commits, and no earlier. */
  @Property({ type: 'text', nullable: true })
  late?: string;
}
