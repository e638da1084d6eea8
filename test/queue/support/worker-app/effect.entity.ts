import { Entity, PrimaryKey, Property } from '@mikro-orm/decorators/legacy';

/** What a job leaves behind. No key but its own keeps a second effect of an input away. */
@Entity()
export class Effect {
  @PrimaryKey({ type: 'integer' })
  id!: number;

  @Property({ type: 'integer' })
  input!: number;

  /** The name of the process that the job ran in. */
  @Property({ type: 'text' })
  worker!: string;

  @Property({ type: 'integer' })
  attempt!: number;
}
