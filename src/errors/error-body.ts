import { STATUS_CODES } from 'node:http';

import { ApiProperty } from '@nestjs/swagger';

import { FieldProblem } from './field-problem.js';

/** The body of every answer that tells of an error. */
export class ErrorBody {
  @ApiProperty({ example: 400 })
  readonly statusCode!: number;

  @ApiProperty({ example: 'Bad Request' })
  readonly error!: string;

  @ApiProperty({ example: 'The request is not right: see `details`.' })
  readonly message!: string;

  @ApiProperty({
    type: [FieldProblem],
    description: 'The fields that are not right. Empty where it is not about fields.',
  })
  readonly details!: readonly FieldProblem[];
}

export function toErrorBody(statusCode: number, message: string, details: readonly FieldProblem[] = []): ErrorBody {
  return { statusCode, error: STATUS_CODES[statusCode] ?? 'Error', message, details };
}
