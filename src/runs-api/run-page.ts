import { ApiProperty } from '@nestjs/swagger';

import { Page } from './page.js';
import { RunView } from '../runs/run-view.js';

/** A part of the list of runs. */
export class RunPage extends Page {
  @ApiProperty({ type: [RunView] })
  readonly items!: readonly RunView[];
}
