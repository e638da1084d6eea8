import { Entity, Enum, Index, PrimaryKey, Property } from '@mikro-orm/decorators/legacy';

import { type RunEngine, runEngines } from './run-engine.js';
import { type RunState, runStates } from './run-state.js';

/** A list of numbers to factorise, one job each. */
@Entity()
export class Run {
  @PrimaryKey({ type: 'uuid' })
  id!: string;

  @Enum({ items: () => [...runEngines] })
  engine!: RunEngine;

  /** The application that runs it. Null for a run of the queue. */
  @Property({ type: 'uuid', nullable: true })
  instanceId!: string | null;

  @Index()
  @Enum({ items: () => [...runStates] })
  state!: RunState;

  @Property({ type: 'integer' })
  total!: number;

  @Property({ type: 'integer' })
  done!: number;

  @Property({ type: 'integer' })
  failed!: number;

  @Property({ type: 'integer' })
  concurrency!: number;

  @Property({ type: 'uuid' })
  requestSessionId!: string;

  @Index()
  @Property({ type: 'datetime', length: 3 })
  createdAt!: Date;

  @Property({ type: 'datetime', length: 3, nullable: true })
  startedAt!: Date | null;

  @Property({ type: 'datetime', length: 3, nullable: true })
  finishedAt!: Date | null;
}
