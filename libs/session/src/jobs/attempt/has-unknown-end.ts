import { readProperty } from '../../session/read-property.js';
import { listErrorParts } from './list-error-parts.js';

/** The code of CommitUnknownError, and the SQL states with the same meaning: the connection broke during the commit. */
const CODES: ReadonlySet<unknown> = new Set(['COMMIT_UNKNOWN', '08007', '40003']);

/** Whether the error itself says that the end of its transaction is unknown. */
export function isEndUnknown(error: object): boolean {
  return CODES.has(readProperty(error, 'code'));
}

/** Whether an error, one of its causes or one of its parts says that the end of a transaction is unknown. */
export function hasUnknownEnd(error: unknown): boolean {
  return listErrorParts(error).some(isEndUnknown);
}
