import type { SessionRecord } from './session-record.js';

/** The property by which an EntityManager knows the session it belongs to: the session itself and the forks made of it. */
export const RECORD = Symbol('session record');

export interface Recorded {
  [RECORD]?: SessionRecord;
}
