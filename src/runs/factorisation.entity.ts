import { ArrayType, BigIntType, PrimaryKeyProp } from '@mikro-orm/core';
import { Entity, Enum, ManyToOne, PrimaryKey, Property } from '@mikro-orm/decorators/legacy';

import { Run } from './run.entity.js';

export const factorisationStatuses = ['done', 'failed'] as const;

export type FactorisationStatus = (typeof factorisationStatuses)[number];

/** The outcome of one number of a run. */
@Entity()
export class Factorisation {
  [PrimaryKeyProp]?: ['run', 'index'];

  @ManyToOne(() => Run, { primary: true, deleteRule: 'cascade' })
  run!: Run;

  /** The position of the number in the list, from 0. */
  @PrimaryKey({ type: 'integer' })
  index!: number;

  @Property({ type: new BigIntType('number') })
  number!: number;

  @Enum({ items: () => [...factorisationStatuses] })
  status!: FactorisationStatus;

  @Property({ type: new ArrayType(Number), columnType: 'bigint[]', nullable: true })
  factors!: number[] | null;

  @Property({ type: 'text', nullable: true })
  error!: string | null;

  @Property({ type: 'uuid', nullable: true })
  sessionId!: string | null;

  @Property({ type: 'datetime', length: 3, nullable: true })
  startedAt!: Date | null;

  @Property({ type: 'datetime', length: 3, nullable: true })
  finishedAt!: Date | null;
}
