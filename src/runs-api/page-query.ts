import { ApiPropertyOptional } from '@nestjs/swagger';
import { Transform } from 'class-transformer';

import { integerBetween } from '../errors/integer-between.js';
import { Satisfies } from '../errors/satisfies.js';

const MAX_OFFSET = 1_000_000_000;
const MAX_LIMIT = 1_000;

function ToInteger(): PropertyDecorator {
  return Transform(({ value }: { readonly value: unknown }) =>
    typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value,
  );
}

/** The part of a list that a client asks for. */
export class PageQuery {
  @ApiPropertyOptional({ type: 'integer', minimum: 0, default: 0, maximum: MAX_OFFSET })
  @ToInteger()
  @Satisfies(integerBetween(0, MAX_OFFSET))
  readonly offset: number = 0;

  @ApiPropertyOptional({ type: 'integer', minimum: 1, maximum: MAX_LIMIT, default: 100 })
  @ToInteger()
  @Satisfies(integerBetween(1, MAX_LIMIT))
  readonly limit: number = 100;
}
