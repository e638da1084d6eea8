import { SessionStateError } from '../session-error.js';

/** Makes the error of a statement that ended the transaction around it. Its own error, if it has one, is the cause. */
export function endedByStatement(label: string, options?: ErrorOptions): SessionStateError {
  return new SessionStateError(
    `A statement of "${label}" ended its transaction, which is ended by the block or call that began it. What ` +
      'came before it may be committed, nothing else is. Leave COMMIT and ROLLBACK to the session.',
    options,
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
