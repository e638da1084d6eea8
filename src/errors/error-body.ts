import { STATUS_CODES } from 'node:http';

import { ApiProperty } from '@nestjs/swagger';

import { FieldProblem } from './field-problem.js';

/** The body of every answer with an error. */
export class ErrorBody {
  @ApiProperty({ example: 400 })
  readonly statusCode!: number;

  @ApiProperty({ example: 'Bad Request' })
  readonly error!: string;

  @ApiProperty({ example: 'The request is invalid: see `details`.' })
  readonly message!: string;

  @ApiProperty({
    type: [FieldProblem],
    description: 'The invalid fields. Empty where the error is not about fields.',
  })
  readonly details!: readonly FieldProblem[];
}

export function toErrorBody(statusCode: number, message: string, details: readonly FieldProblem[] = []): ErrorBody {
  return { statusCode, error: STATUS_CODES[statusCode] ?? 'Error', message, details };
}
