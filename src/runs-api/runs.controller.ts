import type { ServerResponse } from 'node:http';

import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  HttpStatus,
  type MessageEvent,
  Post,
  Query,
  Res,
  Sse,
  UseGuards,
} from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiBadRequestResponse,
  ApiBody,
  ApiConflictResponse,
  ApiNotFoundResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiPayloadTooLargeResponse,
  ApiServiceUnavailableResponse,
  ApiTags,
} from '@nestjs/swagger';
import type { Observable } from 'rxjs';

import { ErrorBody } from '../errors/error-body.js';
import { JsonBodyGuard } from '../http/json-body.guard.js';
import { ListenerLimitGuard } from '../http/listener-limit.guard.js';
import { PageQuery } from './page-query.js';
import { ResultPage } from './result-page.js';
import { RunPage } from './run-page.js';
import { RunId } from './run-id.js';
import { RunView } from '../runs/run-view.js';
import { RunsService } from './runs.service.js';
import { startRunExamples, StartRunRequest } from '../runs/start-run.request.js';

/** The largest number of characters of events that wait for a slow client. */
const MAX_PENDING_EVENTS = 64 * 1024;

@ApiTags('jobs')
@ApiBadRequestResponse({ type: ErrorBody, description: 'The request is invalid. Nothing was stored or changed.' })
@ApiServiceUnavailableResponse({
  type: ErrorBody,
  description:
    'The database cannot be reached, the server is shutting down, or it has as much to do as it can hold: `Retry-After` ' +
    'says when to try again.',
})
@Controller('jobs')
export class RunsController {
  constructor(private readonly runs: RunsService) {}

  @Post()
  @HttpCode(HttpStatus.ACCEPTED)
  @UseGuards(JsonBodyGuard)
  @ApiOperation({
    summary: 'Factorises numbers, one job each, in the background',
    description:
      'Give either `numbers`, or `from` and `to`. Each job has a session and a transaction of its own. With the engine ' +
      '`queue` the run and its jobs are stored in one transaction: there are all of them, or none.',
  })
  @ApiBody({ type: StartRunRequest, examples: startRunExamples })
  @ApiAcceptedResponse({
    type: RunView,
    description: 'The run has been stored and begins when it is its turn.',
    headers: {
      Location: { description: 'Where the run is.', schema: { type: 'string', example: '/jobs/0b7a3d3c-…' } },
    },
  })
  @ApiPayloadTooLargeResponse({ type: ErrorBody, description: 'The body is too large.' })
  async start(
    @Body() request: StartRunRequest,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<RunView> {
    const run = await this.runs.start(request);
    response.setHeader('Location', `/jobs/${run.id}`);
    return run;
  }

  @Get()
  @ApiOperation({ summary: 'Lists the runs, the newest first' })
  @ApiOkResponse({ type: RunPage, description: 'A part of the runs.' })
  list(@Query() page: PageQuery): Promise<RunPage> {
    return this.runs.list(page);
  }

  @Get(':id')
  @ApiOperation({ summary: 'Tells how far a run has come' })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiOkResponse({ type: RunView, description: 'The run as it is now.' })
  @ApiNotFoundResponse({ type: ErrorBody, description: 'There is no such run.' })
  find(@RunId() id: string): Promise<RunView> {
    return this.runs.find(id);
  }

  @Get(':id/results')
  @ApiOperation({
    summary: 'Lists what became of the numbers, in the order they were given',
    description:
      'A number appears when its job has committed; one whose job failed, at the end of the run at the latest; one whose job never ' +
      'began, never. With the engine `queue`, one whose job failed appears at once.',
  })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiOkResponse({ type: ResultPage, description: 'A part of the results.' })
  @ApiNotFoundResponse({ type: ErrorBody, description: 'There is no such run.' })
  results(@RunId() id: string, @Query() page: PageQuery): Promise<ResultPage> {
    return this.runs.results(id, page);
  }

  @Sse(':id/events', { maxPendingDataLength: MAX_PENDING_EVENTS })
  @UseGuards(ListenerLimitGuard)
  @ApiOperation({
    summary: 'Streams how far a run has come',
    description:
      'Server-sent events: `progress` with `state`, `done`, `failed` and `total`, once a job has ended also with `rate` ' +
      '(jobs per second) and `timeLeft` (milliseconds), then one `end` with the run, then the stream ends. A run that ' +
      'has ended already gives its `end` only. When the server shuts down, the events of a run of the queue stop without ' +
      'an `end`: it goes on, and any server can tell more of it.',
  })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiOkResponse({
    description: 'The events, as they happen.',
    content: {
      'text/event-stream': {
        schema: { type: 'string' },
        example:
          'event: progress\nid: 1\ndata: {"state":"running","done":12,"failed":0,"total":1000,"rate":240,"timeLeft":4117}\n\n',
      },
    },
  })
  @ApiNotFoundResponse({ type: ErrorBody, description: 'There is no such run.' })
  events(@RunId() id: string): Promise<Observable<MessageEvent>> {
    return this.runs.events(id);
  }

  @Delete(':id')
  @ApiOperation({
    summary: 'Cancels a run',
    description:
      'Waits for the jobs that run, or, with the engine `queue`, rolls them back. The others never start. What has been ' +
      'stored stays.',
  })
  @ApiParam({ name: 'id', format: 'uuid' })
  @ApiOkResponse({ type: RunView, description: 'The run is cancelled.' })
  @ApiNotFoundResponse({ type: ErrorBody, description: 'There is no such run.' })
  @ApiConflictResponse({
    type: ErrorBody,
    description: 'The run has ended already, or another process runs it, and stays as it is.',
  })
  cancel(@RunId() id: string): Promise<RunView> {
    return this.runs.cancel(id);
  }
}
