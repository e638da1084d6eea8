import { readProperty } from '../../session/read-property.js';
import { listErrorParts } from './list-error-parts.js';

/** Ours, and the SQL states that say the same: the connection broke during the commit. */
const CODES: ReadonlySet<unknown> = new Set(['COMMIT_UNKNOWN', '08007', '40003']);

/** Whether an error by itself says that nobody knows how its transaction ended. */
export function isEndUnknown(error: object): boolean {
  return CODES.has(readProperty(error, 'code'));
}

/** Whether an error, a cause of it or a part of it says that nobody knows how a transaction ended. */
export function hasUnknownEnd(error: unknown): boolean {
  return listErrorParts(error).some(isEndUnknown);
}
