import { describeThrown } from '../session/describe-thrown.js';
import { readProperty } from '../session/read-property.js';

interface Described {
  /** What becomes `error.type`. */
  readonly type: string;
  readonly exception: string | { readonly name: string; readonly message: string; readonly stack?: string };
}

/** Reads of what was thrown what a span keeps. Never throws, whatever it is. */
export function describeException(thrown: unknown): Described {
  const [name, message, stack] = ['name', 'message', 'stack'].map((key) => readProperty(thrown, key));
  if (typeof message !== 'string') {
    return { type: typeof thrown, exception: describeThrown(thrown) };
  }
  const type = typeof name === 'string' ? name : 'Error';
  return { type, exception: { name: type, message, ...(typeof stack === 'string' && { stack }) } };
}
