import { Controller, Get } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';

import { JobLog, type LoggedJob } from '../runs/job-log.js';
import { RunId } from './run-id.js';

interface JobLogView {
  /** The time of the server, to compute how long running jobs have run. */
  readonly now: Date;
  readonly jobs: readonly LoggedJob[];
}

/** Serves the jobs that have not committed yet, for the page of the demo. Not a part of the REST interface. */
@ApiExcludeController()
@Controller('page/runs')
export class JobLogController {
  constructor(private readonly log: JobLog) {}

  /** Returns an empty list for a run that this process does not know. */
  @Get(':id/jobs')
  list(@RunId() id: string): JobLogView {
    return { now: new Date(), jobs: this.log.list(id) };
  }
}
