import type { IncomingMessage } from 'node:http';

import {
  BadRequestException,
  type CanActivate,
  type ExecutionContext,
  Injectable,
  UnsupportedMediaTypeException,
} from '@nestjs/common';

/** Refuses a body that is no JSON object, which would be taken for an empty one. */
@Injectable()
export class JsonBodyGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { headers, body } = context.switchToHttp().getRequest<IncomingMessage & { readonly body?: unknown }>();
    const [type = ''] = (headers['content-type'] ?? '').split(';');
    if (type.trim().toLowerCase() !== 'application/json') {
      throw new UnsupportedMediaTypeException(
        'The body must be JSON. Send the header `content-type: application/json`.',
      );
    }
    if (Array.isArray(body)) {
      throw new BadRequestException('The body must be a JSON object, not a list.');
    }
    return true;
  }
}
