import type { Opt } from '@mikro-orm/core';
import { Entity, PrimaryKey, Property } from '@mikro-orm/decorators/legacy';

@Entity()
export class Note {
  @PrimaryKey({ type: 'integer', unsigned: false })
  id!: number;

  @Property({ type: 'text' })
  text!: string;

  @Property({ type: 'text', default: 'a' })
  tenant: Opt<string> = 'a';
}
