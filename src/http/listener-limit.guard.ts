import type { ServerResponse } from 'node:http';

import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';

import { OverloadedException } from '../errors/overloaded.exception.js';

/** The largest number of clients that listen to events. Each gets some events per second. */
const MAX_LISTENERS = 200;

const RETRY_AFTER_S = 5;

/** Refuses a client that wants to listen to events, while the largest number of clients is listening. */
@Injectable()
export class ListenerLimitGuard implements CanActivate {
  #count = 0;

  canActivate(context: ExecutionContext): boolean {
    const response = context.switchToHttp().getResponse<ServerResponse>();
    if (this.#count >= MAX_LISTENERS) {
      throw new OverloadedException(
        `${MAX_LISTENERS} clients listen to events, and no more are allowed. Try again later.`,
        RETRY_AFTER_S,
      );
    }
    if (!response.closed) {
      this.#count += 1;
      response.once('close', () => (this.#count -= 1));
    }
    return true;
  }
}
