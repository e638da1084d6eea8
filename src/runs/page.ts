import { ApiProperty } from '@nestjs/swagger';

/** Part of a list. */
export abstract class Page {
  @ApiProperty({ example: 3, description: 'How many items there are in all.' })
  readonly total!: number;

  @ApiProperty({ example: 0 })
  readonly offset!: number;

  @ApiProperty({ example: 100 })
  readonly limit!: number;
}
