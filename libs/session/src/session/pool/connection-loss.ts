import { CommitUnknownError, SessionStateError } from '../session-error.js';
import { explainLoss } from './lost-connection.js';

/** Keeps what ended a connection, and makes the errors of its statements. */
export class ConnectionLoss {
  /** Whether a statement has failed because the connection was lost. */
  isTold = false;
  #cause: Error | undefined;
  #unknownCommit: CommitUnknownError | undefined;

  /** The error that ended the connection. */
  get cause(): Error | undefined {
    return this.#cause;
  }

  /** The error of the last commit whose end is unknown. */
  get unknownCommit(): CommitUnknownError | undefined {
    return this.#unknownCommit;
  }

  /** Notes what ended the connection. Only the first call counts. */
  note(cause: Error): void {
    this.#cause ??= cause;
  }

  /** Returns the error of a statement that comes after the end. An error with a remedy stays as it is. */
  explain(label: string): Error | undefined {
    const cause = this.#cause;
    return cause === undefined || cause instanceof SessionStateError ? cause : explainLoss(label, cause);
  }

  /** Makes the error of a commit that was sent and not answered. */
  failCommit(label: string, cause: unknown): CommitUnknownError {
    this.#unknownCommit = new CommitUnknownError(label, cause);
    return this.#unknownCommit;
  }
}
