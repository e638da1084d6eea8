import type { IncomingMessage } from 'node:http';

import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Logger } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';

import { isDatabaseGone } from './database-gone.js';
import { type ErrorBody, toErrorBody } from './error-body.js';
import { InvalidRequestException } from './invalid-request.exception.js';

/** Answers every error in one shape, and logs those that are not the client's. */
@Catch()
export class ErrorFilter implements ExceptionFilter {
  readonly #logger = new Logger(ErrorFilter.name);

  constructor(private readonly adapterHost: HttpAdapterHost) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const { httpAdapter } = this.adapterHost;
    const request = host.switchToHttp().getRequest<IncomingMessage>();
    const response = host.switchToHttp().getResponse<unknown>();
    const body = this.#describe(error, `${request.method} ${request.url}`);
    if (httpAdapter.isHeadersSent(response)) {
      httpAdapter.end(response);
      return;
    }
    httpAdapter.reply(response, body, body.statusCode);
  }

  #describe(error: unknown, request: string): ErrorBody {
    if (error instanceof InvalidRequestException) {
      return toErrorBody(error.getStatus(), error.message, error.details);
    }
    if (error instanceof HttpException) {
      return toErrorBody(error.getStatus(), error.message);
    }
    if (isDatabaseGone(error)) {
      this.#logger.error(`${request}: the database cannot be reached: ${String(error)}`);
      return toErrorBody(503, 'The database cannot be reached at the moment. Try again later.');
    }
    this.#logger.error(`${request}: ${String(error)}`, error instanceof Error ? error.stack : undefined);
    return toErrorBody(500, 'Something went wrong on our side. It has been logged.');
  }
}
