import { ApiProperty } from '@nestjs/swagger';

import { Page } from './page.js';
import { ResultView } from './result-view.js';

/** A part of the results of a run. */
export class ResultPage extends Page {
  @ApiProperty({ type: [ResultView] })
  readonly items!: readonly ResultView[];
}
