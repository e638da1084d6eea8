import type { IncomingMessage } from 'node:http';

import { inspect } from 'node:util';

import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';

import { InvalidRequestException } from '../errors/invalid-request.exception.js';

/** Refuses a body that is not a JSON object. NestJS would treat it as an empty object. */
@Injectable()
export class JsonBodyGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { headers, body } = context.switchToHttp().getRequest<IncomingMessage & { readonly body?: unknown }>();
    const [type = ''] = (headers['content-type'] ?? '').split(';');
    if (type.trim().toLowerCase() !== 'application/json') {
      throw new InvalidRequestException([
        { field: 'content-type', reason: `expected 'application/json', got ${inspect(type)}` },
      ]);
    }
    if (Array.isArray(body)) {
      throw new InvalidRequestException([{ field: 'body', reason: 'expected a JSON object, got a list' }]);
    }
    return true;
  }
}
