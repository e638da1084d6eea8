import { ServiceUnavailableException } from '@nestjs/common';

/** Answers 503 and says when to try again. Thrown when the server has as much work as it can hold. */
export class OverloadedException extends ServiceUnavailableException {
  constructor(
    message: string,
    readonly retryAfterSeconds: number,
  ) {
    super(message);
  }
}
