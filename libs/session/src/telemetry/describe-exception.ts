import { describeThrown } from '../session/describe-thrown.js';
import { readProperty } from '../session/read-property.js';

interface Described {
  /** The value of the attribute `error.type`. */
  readonly type: string;
  readonly exception: string | { readonly name: string; readonly message: string; readonly stack?: string };
}

/** Describes a thrown value for a span. Never throws. */
export function describeException(thrown: unknown): Described {
  const [name, message, stack] = ['name', 'message', 'stack'].map((key) => readProperty(thrown, key));
  if (typeof message !== 'string') {
    return { type: typeof thrown, exception: describeThrown(thrown) };
  }
  const type = typeof name === 'string' ? name : 'Error';
  return { type, exception: { name: type, message, ...(typeof stack === 'string' && { stack }) } };
}
