import { ApiProperty } from '@nestjs/swagger';

/** What is wrong with one field of a request. */
export class FieldProblem {
  @ApiProperty({ example: 'numbers[3]', description: 'The path of the field, with the place of the item in a list.' })
  readonly field!: string;

  @ApiProperty({ example: 'expected an integer from 1 to 9007199254740991, got 1.5' })
  readonly reason!: string;
}
