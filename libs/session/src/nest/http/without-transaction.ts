import { SetMetadata } from '@nestjs/common';

const WITHOUT_TRANSACTION = 'nestjs-mikro-session/without transaction';

/** Marks a route that gets no transaction, even with the option `http.transaction`. */
export const WithoutTransaction = (): MethodDecorator => SetMetadata(WITHOUT_TRANSACTION, true);

export function isWithoutTransaction(handler: object): boolean {
  // Seam: nestjs/sse-metadata
  return Reflect.hasMetadata(WITHOUT_TRANSACTION, handler);
}
