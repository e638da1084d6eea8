import { Entity, PrimaryKey, Property } from '@mikro-orm/decorators/legacy';

/** What a piece of work leaves behind. Nothing keeps a second mark of the same key away, so that it would show. */
@Entity()
export class Mark {
  @PrimaryKey({ type: 'integer' })
  id!: number;

  @Property({ type: 'text' })
  key!: string;

  /** What left it: a route, a job, a handler. */
  @Property({ type: 'text' })
  source!: string;
}
