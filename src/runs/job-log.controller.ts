import { Controller, Get } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';

import { JobLog, type LoggedJob } from './job-log.js';
import { RunId } from './run-id.js';

interface JobLogView {
  /** The clock of the server, by which jobs that run have run until now. */
  readonly now: Date;
  readonly jobs: readonly LoggedJob[];
}

/** What the page of the demo shows of jobs that have not committed yet. No part of the REST interface. */
@ApiExcludeController()
@Controller('page/runs')
export class JobLogController {
  constructor(private readonly log: JobLog) {}

  /** A run that this process knows nothing of has no such jobs. */
  @Get(':id/jobs')
  list(@RunId() id: string): JobLogView {
    return { now: new Date(), jobs: this.log.list(id) };
  }
}
