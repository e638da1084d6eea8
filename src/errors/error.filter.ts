import type { IncomingMessage } from 'node:http';

import {
  type ArgumentsHost,
  BadRequestException,
  Catch,
  type ExceptionFilter,
  HttpException,
  Logger,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';

import { isDatabaseGone } from './is-database-gone.js';
import { type ErrorBody, toErrorBody } from './error-body.js';
import { InvalidRequestException } from './invalid-request.exception.js';
import { OverloadedException } from './overloaded.exception.js';

/** Seconds for `Retry-After`, where nobody knows when the database is available again. */
const RETRY_AFTER_S = 5;

type BodyRequest = IncomingMessage & { readonly body?: unknown };

/** Answers every error in one form, and logs the errors that are not the client's fault. */
@Catch()
export class ErrorFilter implements ExceptionFilter {
  readonly #logger = new Logger(ErrorFilter.name);

  constructor(private readonly adapterHost: HttpAdapterHost) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const { httpAdapter } = this.adapterHost;
    const request = host.switchToHttp().getRequest<BodyRequest>();
    const response = host.switchToHttp().getResponse<unknown>();
    const body = this.#describe(isUnreadable(error, request) ? toBodyProblem(error) : error, request);
    if (httpAdapter.isHeadersSent(response)) {
      httpAdapter.end(response);
      return;
    }
    if (body.statusCode === 503) {
      httpAdapter.setHeader(response, 'Retry-After', String(retryAfterOf(error)));
    }
    httpAdapter.reply(response, body, body.statusCode);
  }

  #describe(error: unknown, { method, url }: BodyRequest): ErrorBody {
    const request = `${method} ${url}`;
    if (error instanceof InvalidRequestException) {
      return toErrorBody(error.getStatus(), error.message, error.details);
    }
    if (error instanceof HttpException) {
      return toErrorBody(error.getStatus(), error.message);
    }
    if (isOfRequest(error)) {
      return toErrorBody(error.statusCode, error.message);
    }
    if (isDatabaseGone(error)) {
      this.#logger.error(`${request}: the database cannot be reached: ${String(error)}`);
      return toErrorBody(503, 'The database cannot be reached at the moment. Try again later.');
    }
    this.#logger.error(`${request}: ${String(error)}`, error instanceof Error ? error.stack : undefined);
    return toErrorBody(500, 'Something went wrong on our side. It has been logged.');
  }
}

/** Whether Express tells the client what is wrong with its request, in an error that NestJS 11 passes on as it is. */
function isOfRequest(error: unknown): error is Error & { readonly statusCode: number } {
  return error instanceof Error && 'statusCode' in error && 'expose' in error && error.expose === true;
}

function retryAfterOf(error: unknown): number {
  return error instanceof OverloadedException ? error.retryAfterSeconds : RETRY_AFTER_S;
}

/** Whether the body could not be parsed. Such a request has no body here. */
function isUnreadable(error: unknown, { method, body }: BodyRequest): error is BadRequestException {
  return method === 'POST' && body === undefined && error instanceof BadRequestException;
}

function toBodyProblem(error: BadRequestException): HttpException {
  return error instanceof InvalidRequestException
    ? error
    : new InvalidRequestException([{ field: 'body', reason: `expected JSON: ${error.message}` }]);
}
