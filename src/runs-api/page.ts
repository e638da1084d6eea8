import { ApiProperty } from '@nestjs/swagger';

/** A part of a list. */
export abstract class Page {
  @ApiProperty({ example: 3, description: 'The number of all items.' })
  readonly total!: number;

  @ApiProperty({ example: 0 })
  readonly offset!: number;

  @ApiProperty({ example: 100 })
  readonly limit!: number;
}
