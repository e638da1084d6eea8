import { SessionStateError } from '../session-error.js';

/** Makes the error of a statement that ended the transaction around it. */
export function endedByStatement(label: string, cause?: unknown): SessionStateError {
  return new SessionStateError(
    `A statement of "${label}" ended its transaction, which is ended by the block or call that began it. What ` +
      'came before it may be committed, nothing else is. Leave COMMIT and ROLLBACK to the session.',
    cause === undefined ? {} : { cause },
  );
}

/** Makes the error of a connection that is given back with an open transaction. */
export function leftOpen(label: string): SessionStateError {
  return new SessionStateError(
    `A transaction was left open on ${label}, and is rolled back. Begin transactions with session.begin() or ` +
      'session.transactional(), not with a statement.',
  );
}

/** Makes the error of a statement that comes after the end of its transaction. */
export function transactionEnded(label: string): SessionStateError {
  return new SessionStateError(`The transaction of "${label}" has ended.`);
}
