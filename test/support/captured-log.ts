import { Logger, type LoggerService } from '@nestjs/common';

/** Takes what NestJS would print, until it is restored. */
export class CapturedLog implements LoggerService {
  readonly warnings: string[] = [];
  readonly errors: string[] = [];

  constructor() {
    Logger.overrideLogger(this);
  }

  log(): void {}

  warn(message: unknown): void {
    this.warnings.push(String(message));
  }

  error(message: unknown): void {
    this.errors.push(String(message));
  }

  [Symbol.dispose](): void {
    Logger.overrideLogger(['error', 'warn']);
  }
}
