import { Controller, Get, UseFilters } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { HealthCheck, type HealthCheckResult, HealthCheckService, MikroOrmHealthIndicator } from '@nestjs/terminus';
import { JobQueueHealthIndicator } from 'nestjs-mikro-session/pg-boss';

import { HealthFilter } from './health.filter.js';

@ApiTags('health')
@UseFilters(HealthFilter)
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly database: MikroOrmHealthIndicator,
    private readonly queue: JobQueueHealthIndicator,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Tells whether the database can be reached, and how deep the queue is' })
  @HealthCheck()
  check(): Promise<HealthCheckResult> {
    return this.health.check([() => this.database.pingCheck('database'), () => this.queue.check('queue')]);
  }
}
