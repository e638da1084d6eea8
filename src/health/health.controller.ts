import { Controller, Get, Logger, UseFilters } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import {
  HealthCheck,
  type HealthCheckResult,
  HealthCheckService,
  type HealthIndicatorResult,
  MikroOrmHealthIndicator,
} from '@nestjs/terminus';
import { JobQueueHealthIndicator } from 'nestjs-mikro-session/pg-boss';

import { HealthFilter } from './health.filter.js';

@ApiTags('health')
@UseFilters(HealthFilter)
@Controller('health')
export class HealthController {
  readonly #logger = new Logger(HealthController.name);

  constructor(
    private readonly health: HealthCheckService,
    private readonly database: MikroOrmHealthIndicator,
    private readonly queue: JobQueueHealthIndicator,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Checks that the database can be reached, and counts the jobs of the queue' })
  @HealthCheck()
  check(): Promise<HealthCheckResult> {
    return this.health.check([() => this.database.pingCheck('database'), () => this.#checkQueue()]);
  }

  /** Logs the error of the database, and does not show it to the client. */
  async #checkQueue(): Promise<HealthIndicatorResult> {
    const { queue } = await this.queue.check('queue');
    if (queue.status === 'up') {
      return { queue };
    }
    this.#logger.warn(`The queue cannot be reached: ${queue.message}`);
    return { queue: { status: 'down', message: 'The queue cannot be reached.' } };
  }
}
