import { inspect } from 'node:util';

import type { ScopeInfo } from '../../session/scope/scope-info.js';
import { isStorable } from './to-storable-text.js';

/**
 * Returns the info that is sent with a job: that of the sending scope, overwritten by the job's own.
 *
 * @throws {TypeError} for a value that JSON would change or lose
 */
export function toSentInfo(inherited: ScopeInfo | undefined, own: ScopeInfo | undefined): ScopeInfo | undefined {
  const info = Object.entries({ ...inherited, ...own }).filter(([, value]) => value !== undefined);
  for (const [name, value] of info) {
    if (!isJson(value)) {
      throw new TypeError(
        `Expected \`info.${name}\` to be something that JSON can hold, since it is sent with the job, got ` +
          `\`${inspect(value, { depth: 0 })}\`. Send the job with \`{ info: { ${name}: ... } }\`, undefined to leave it out.`,
      );
    }
  }
  return info.length === 0 ? undefined : Object.fromEntries(info);
}

function isJson(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) {
    return value === null || typeof value === 'boolean' || Number.isFinite(value) || isStorableText(value);
  }
  if (Array.isArray(value)) {
    return value.every((item) => isJson(item));
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  return (prototype === Object.prototype || prototype === null) && Object.values(value).every((item) => isJson(item));
}

function isStorableText(value: unknown): boolean {
  return typeof value === 'string' && isStorable(value);
}
