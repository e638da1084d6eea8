import { BadRequestException } from '@nestjs/common';

import type { FieldProblem } from './field-problem.js';

/** Answers 400 with the invalid fields. */
export class InvalidRequestException extends BadRequestException {
  constructor(readonly details: readonly FieldProblem[]) {
    super('The request is invalid: see `details`.');
  }
}
