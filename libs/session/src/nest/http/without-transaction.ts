import { SetMetadata } from '@nestjs/common';

const WITHOUT_TRANSACTION = 'nestjs-mikro-session/without transaction';

/** Marks a route that is no unit of work, whatever the application wants of its requests. */
export const WithoutTransaction = (): MethodDecorator => SetMetadata(WITHOUT_TRANSACTION, true);

export function isWithoutTransaction(handler: object): boolean {
  // Seam: nestjs/sse-metadata
  return Reflect.hasMetadata(WITHOUT_TRANSACTION, handler);
}
