import { CommitUnknownError, SessionStateError } from '../session-error.js';
import { explainLoss } from './lost-connection.js';

/** Knows what ended a connection, and what its statements were told of that. */
export class ConnectionLoss {
  /** Whether a statement has failed because the connection was lost. */
  isTold = false;
  #cause: Error | undefined;
  #unknownCommit: CommitUnknownError | undefined;

  /** What ended the connection. */
  get cause(): Error | undefined {
    return this.#cause;
  }

  /** What the last commit failed with whose end is unknown. */
  get unknownCommit(): CommitUnknownError | undefined {
    return this.#unknownCommit;
  }

  /** Notes what ended the connection. What came first did. */
  note(cause: Error): void {
    this.#cause ??= cause;
  }

  /** The error of a statement that comes too late. An error that names its remedy stays as it is. */
  explain(label: string): Error | undefined {
    const cause = this.#cause;
    return cause === undefined || cause instanceof SessionStateError ? cause : explainLoss(label, cause);
  }

  /** The error of a commit that was sent, and to which no answer came. */
  failCommit(label: string, cause: unknown): CommitUnknownError {
    this.#unknownCommit = new CommitUnknownError(label, cause);
    return this.#unknownCommit;
  }
}
