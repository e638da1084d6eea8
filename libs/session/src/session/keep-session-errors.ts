import type { MikroORM } from '@mikro-orm/core';

import { SessionError } from './session-error.js';

/** Lets our errors pass where MikroORM makes its own DriverException of whatever a statement failed with. */
export function keepSessionErrors({ driver }: MikroORM): void {
  // Seam: mikro-orm/exception-converter
  const converter = driver.getPlatform().getExceptionConverter();
  const convert = converter.convertException.bind(converter);
  converter.convertException = (error) => (error instanceof SessionError ? error : convert(error));
}
