import { type ArgumentMetadata, Injectable, ValidationPipe } from '@nestjs/common';

import type { FieldProblem } from './field-problem.js';
import { InvalidRequestException } from './invalid-request.exception.js';
import { toInvalidRequest } from './satisfies.js';

/** The largest depth of a body. No valid request is deeper, and the transformation can handle it. */
const MAX_DEPTH = 8;

/**
 * Checks requests against their classes. Refuses fields that the transformation would drop, and values that would break
 * it.
 */
@Injectable()
export class RequestPipe extends ValidationPipe {
  constructor() {
    super({
      transform: true,
      whitelist: true,
      forbidNonWhitelisted: true,
      stopAtFirstError: true,
      validationError: { target: true, value: true },
      exceptionFactory: toInvalidRequest,
    });
  }

  override transform(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    const problems = typeof value === 'object' && value !== null ? [...findUntransformable(value)] : [];
    if (problems.length > 0) {
      throw new InvalidRequestException(problems);
    }
    return super.transform(value, metadata) as Promise<unknown>;
  }
}

/**
 * The transformation silently drops fields such as `constructor`, which every object has. A deep value would overflow
 * its stack.
 */
function* findUntransformable(value: object, path = '', depth = 1): Generator<FieldProblem> {
  if (depth > MAX_DEPTH) {
    yield { field: path, reason: `expected no more than ${MAX_DEPTH} levels of lists and objects` };
    return;
  }
  const isList = Array.isArray(value);
  for (const [key, item] of Object.entries(value)) {
    if (!isList && key in Object.prototype) {
      yield { field: join(path, key), reason: 'there is no such field' };
      continue;
    }
    if (typeof item === 'object' && item !== null) {
      yield* findUntransformable(item, isList ? `${path}[${key}]` : join(path, key), depth + 1);
    }
  }
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}
