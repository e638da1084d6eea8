import { ApiProperty } from '@nestjs/swagger';

import type { Run } from './run.entity.js';
import { type RunEngine, runEngines } from './run-engine.js';
import { type RunState, runStates } from './run-state.js';

/** A run as clients see it. */
export class RunView {
  @ApiProperty({ format: 'uuid', example: '0b7a3d3c-4f0e-4a5e-9b0e-0d9c5c1f2a11' })
  readonly id!: string;

  @ApiProperty({ enum: runEngines, description: 'Who runs the jobs.' })
  readonly engine!: RunEngine;

  @ApiProperty({
    enum: runStates,
    description:
      '`pending`: waits for its turn. `running`. `done`: every job has ended, `failed` tells how many of them threw. ' +
      '`cancelled`: stopped by a client. `interrupted`: the server ended first, or had no database to begin with; a ' +
      'run of the queue is never that.',
  })
  readonly state!: RunState;

  @ApiProperty({ example: 1000, description: 'How many numbers were given.' })
  readonly total!: number;

  @ApiProperty({ example: 999, description: 'How many were factorised and stored.' })
  readonly done!: number;

  @ApiProperty({ example: 1, description: 'How many jobs threw. What they had stored was rolled back.' })
  readonly failed!: number;

  @ApiProperty({ example: 8, description: 'How many jobs run at once, at most.' })
  readonly concurrency!: number;

  @ApiProperty({
    format: 'uuid',
    example: '6a1f7a3e-8f53-4c57-8f53-3d1f0a2b4c5d',
    description: 'The session of the request that started the run. No job has the same.',
  })
  readonly requestSessionId!: string;

  @ApiProperty()
  readonly createdAt!: Date;

  @ApiProperty({ type: Date, nullable: true })
  readonly startedAt!: Date | null;

  @ApiProperty({ type: Date, nullable: true })
  readonly finishedAt!: Date | null;
}

export function toRunView(run: Run): RunView {
  const { id, engine, state, total, done, failed, concurrency, requestSessionId, createdAt, startedAt, finishedAt } =
    run;
  return { id, engine, state, total, done, failed, concurrency, requestSessionId, createdAt, startedAt, finishedAt };
}
