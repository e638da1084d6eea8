import { Controller, HttpCode, HttpStatus, Post, UseGuards } from '@nestjs/common';
import {
  ApiBadRequestResponse,
  ApiOkResponse,
  ApiOperation,
  ApiServiceUnavailableResponse,
  ApiTags,
} from '@nestjs/swagger';

import { ErrorBody } from '../errors/error-body.js';
import { JsonBodyGuard } from '../http/json-body.guard.js';
import { Misuses } from './misuses.js';
import { MisuseView, toMisuseView } from './misuse-view.js';

@ApiTags('misuses')
@ApiBadRequestResponse({ type: ErrorBody, description: 'The body is no JSON object.' })
@ApiServiceUnavailableResponse({
  type: ErrorBody,
  description: 'Another misuse is being committed, or the database cannot be reached.',
})
// Accepts only JSON, so that a page of another server cannot send such a request.
@UseGuards(JsonBodyGuard)
@Controller('misuses')
export class MisuseController {
  constructor(private readonly misuses: Misuses) {}

  @Post('shared-session')
  @HttpCode(HttpStatus.OK)
  @ApiOperation({ summary: 'Uses the session of a job in another job' })
  @ApiOkResponse({ type: MisuseView, description: 'The error of the library.' })
  async shareSession(): Promise<MisuseView> {
    return toMisuseView(await this.misuses.shareSession());
  }

  @Post('use-after-end')
  @HttpCode(HttpStatus.OK)
  @ApiOperation({ summary: 'Uses a session after its end' })
  @ApiOkResponse({ type: MisuseView, description: 'The error of the library.' })
  async useAfterEnd(): Promise<MisuseView> {
    return toMisuseView(await this.misuses.useAfterEnd());
  }

  @Post('full-pool')
  @HttpCode(HttpStatus.OK)
  @ApiOperation({
    summary: 'Fills a pool with transactions that wait for one more connection',
    description: 'It is a pool of two connections of its own: runs and requests do not notice.',
  })
  @ApiOkResponse({ type: MisuseView, description: 'The error of the library.' })
  async fillPool(): Promise<MisuseView> {
    return toMisuseView(await this.misuses.fillPool());
  }
}
