import { Entity, PrimaryKey, Property, Unique } from '@mikro-orm/decorators/legacy';

/**
 * One write of a program. A tag can be written once: a second row with it is refused. MariaDB would lock more than the row
 * to look for a second one of type text.
 */
@Entity()
@Unique({ properties: ['late'], deferMode: 'deferred' })
export class Mark {
  @PrimaryKey({ type: 'integer' })
  id!: number;

  @Property({ type: 'string', length: 100 })
  @Unique()
  tag!: string;

  /** Unique as well, which the database looks at when the transaction commits, and no earlier. */
  @Property({ type: 'string', length: 100, nullable: true })
  late?: string;
}
