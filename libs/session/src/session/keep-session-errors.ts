import type { MikroORM } from '@mikro-orm/core';

import { SessionError } from './session-error.js';

/**
 * Keeps MikroORM from wrapping the errors of this library: it makes a DriverException of every error of a statement.
 */
export function keepSessionErrors({ driver }: MikroORM): void {
  // Seam: mikro-orm/exception-converter
  const converter = driver.getPlatform().getExceptionConverter();
  const convert = converter.convertException.bind(converter);
  converter.convertException = (error) => (error instanceof SessionError ? error : convert(error));
}
