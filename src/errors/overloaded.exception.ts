import { ServiceUnavailableException } from '@nestjs/common';

/** Answers 503 and says when to try again: the server has as much to do as its memory allows. */
export class OverloadedException extends ServiceUnavailableException {
  constructor(
    message: string,
    readonly retryAfterSeconds: number,
  ) {
    super(message);
  }
}
