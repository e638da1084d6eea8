import { ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsObject, ValidateNested } from 'class-validator';

import { JOB_CONNECTIONS, QUEUE_CONNECTIONS } from './pool-size.js';
import { integerBetween } from '../errors/integer-between.js';
import { oneOf } from '../errors/one-of.js';
import { MayBeLeftOut, type Rule, Satisfies } from '../errors/satisfies.js';
import { type RunEngine, runEngines } from './run-engine.js';
import { NumberList } from './number-list.js';
import { findOffenders, MAX_NUMBER, MAX_NUMBERS, numberList, rangeEnd, rangeStart } from './number-rules.js';

const MAX_DELAY_MS = 10_000;

const list: Rule = (value) =>
  Array.isArray(value) && value.length <= MAX_NUMBERS
    ? findOffenders(value)
    : [{ reason: `expected a list of at most ${MAX_NUMBERS} integers` }];

/** Makes jobs slow or makes them fail, to show what happens to the others. */
export class Simulation {
  @ApiPropertyOptional({
    type: 'array',
    items: { type: 'integer', minimum: 1, maximum: MAX_NUMBER },
    maxItems: MAX_NUMBERS,
    example: [97],
    description: 'The jobs of these numbers throw after their insert, which is rolled back.',
  })
  @MayBeLeftOut()
  @Satisfies(list)
  readonly failOn?: readonly number[];

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 0,
    maximum: MAX_DELAY_MS,
    example: 5,
    description: 'What each job takes longer, in milliseconds. Cut short when the run is stopped.',
  })
  @MayBeLeftOut()
  @Satisfies(integerBetween(0, MAX_DELAY_MS))
  readonly delayMs?: number;
}

/** The numbers to factorise: either `numbers`, or `from` and `to`. */
export class StartRunRequest {
  @ApiPropertyOptional({
    type: 'array',
    items: { type: 'integer', minimum: 1, maximum: MAX_NUMBER },
    minItems: 1,
    maxItems: MAX_NUMBERS,
    example: [12, 97, 360],
  })
  @Satisfies(numberList)
  readonly numbers?: readonly number[];

  @ApiPropertyOptional({ type: 'integer', minimum: 1, maximum: MAX_NUMBER, description: 'The first of a range.' })
  @Satisfies(rangeStart)
  readonly from?: number;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: MAX_NUMBER,
    description: `The last of a range of at most ${MAX_NUMBERS} numbers.`,
  })
  @Satisfies(rangeEnd)
  readonly to?: number;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: JOB_CONNECTIONS,
    default: 4,
    description:
      'How many jobs run at once, at most, each with a connection of its own. With the engine `queue` that holds over ' +
      `all processes together; each runs no more than ${QUEUE_CONNECTIONS} jobs of the queue at once.`,
  })
  @Satisfies(integerBetween(1, JOB_CONNECTIONS))
  readonly concurrency: number = 4;

  @ApiPropertyOptional({
    enum: runEngines,
    default: 'process',
    description:
      '`process`: the jobs run in the process that takes the request, and are interrupted when it ends. `queue`: the jobs ' +
      'are stored with the run, in one transaction, and run in all processes that work the queue; what one that ends ' +
      'leaves behind, another takes up.',
  })
  @Satisfies(oneOf(runEngines))
  readonly engine: RunEngine = 'process';

  @ApiPropertyOptional({ type: Simulation })
  @MayBeLeftOut()
  @IsObject({ message: 'expected an object' })
  @ValidateNested({ message: 'expected an object' })
  @Type(() => Simulation)
  readonly simulate?: Simulation;
}

/**
 * The ways to give the numbers, as examples for the documentation. A single example with all fields would be invalid.
 */
export const startRunExamples = {
  list: { summary: 'A list', value: { numbers: [12, 97, 360] } },
  range: { summary: 'A range', value: { from: 1, to: 100, concurrency: 8, simulate: { failOn: [97], delayMs: 5 } } },
  queue: { summary: 'On the queue', value: { from: 1, to: 100, engine: 'queue' } },
} as const;

export function numbersOf({ numbers, from = 1, to = 0 }: StartRunRequest): NumberList {
  return numbers === undefined ? NumberList.range(from, to) : NumberList.of(numbers);
}
