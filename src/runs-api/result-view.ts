import { ApiProperty } from '@nestjs/swagger';

import { type Factorisation, type FactorisationStatus, factorisationStatuses } from '../runs/factorisation.entity.js';

/** The outcome of one number, as clients see it. */
export class ResultView {
  @ApiProperty({ example: 2, description: 'The position of the number in the list, from 0.' })
  readonly index!: number;

  @ApiProperty({ example: 360 })
  readonly number!: number;

  @ApiProperty({ enum: factorisationStatuses })
  readonly status!: FactorisationStatus;

  @ApiProperty({
    type: [Number],
    nullable: true,
    example: [2, 2, 2, 3, 3, 5],
    description: 'Null when the job failed.',
  })
  readonly factors!: readonly number[] | null;

  @ApiProperty({ type: String, nullable: true, example: null, description: 'Why the job failed.' })
  readonly error!: string | null;

  @ApiProperty({
    type: String,
    format: 'uuid',
    nullable: true,
    description: 'The session of the job, which is its own. Null when the job failed.',
  })
  readonly sessionId!: string | null;

  @ApiProperty({ type: Date, nullable: true })
  readonly startedAt!: Date | null;

  @ApiProperty({ type: Date, nullable: true })
  readonly finishedAt!: Date | null;
}

export function toResultView(factorisation: Factorisation): ResultView {
  const { index, number, status, factors, error, sessionId, startedAt, finishedAt } = factorisation;
  return { index, number, status, factors, error, sessionId, startedAt, finishedAt };
}
