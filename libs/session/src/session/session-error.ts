/** The root of every error of this package: `code` is stable and safe to branch on, the message is for people. */
export abstract class SessionError extends Error {
  /** Where this package tells more: a file of its own, and the place in it. */
  readonly help: string;

  constructor(
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.help = `docs/troubleshooting.md#${code.toLowerCase()}`;
  }

  override get name(): string {
    return this.constructor.name;
  }
}

/** Thrown where a session is asked for outside of every scope. */
export class NoActiveSessionError extends SessionError {
  declare readonly code: 'NO_ACTIVE_SESSION';

  constructor(what: string) {
    super(
      'NO_ACTIVE_SESSION',
      `${what} was used outside of every session scope. ` +
        'Use it in a request or a job, or open a scope with SessionFactory.run() or SessionFactory.begin().',
    );
  }
}

/** Thrown by every use of a session after its end. */
export class SessionClosedError extends SessionError {
  declare readonly code: 'SESSION_CLOSED';

  constructor(label: string, ending: string) {
    super(
      'SESSION_CLOSED',
      `The session of "${label}" was used after its end: ${ending}. ` +
        'Await everything that uses a session within its scope, or open one of its own for it with SessionFactory.run().',
    );
  }
}

/** Thrown where a session is used by another task than the one it belongs to. */
export class SessionOwnershipError extends SessionError {
  declare readonly code: 'SESSION_OWNERSHIP';

  constructor(owner: string, user: { readonly label: string; readonly kind: string } | undefined) {
    super(
      'SESSION_OWNERSHIP',
      `The session of "${owner}" was used ${user === undefined ? 'outside of every scope' : `in "${user.label}"`}. ` +
        (user?.kind === 'method'
          ? 'Its @InSession() gives it a session of its own: take that from SessionContext.current, a repository or ' +
            'an injected EntityManager.'
          : 'A session belongs to one task: inject one with @InjectSession(), or open one with SessionFactory.run().'),
    );
  }
}

/** Thrown where an entity that a live session manages is given to another session. Neither is changed. */
export class EntityOwnershipError extends SessionError {
  declare readonly code: 'ENTITY_OWNERSHIP';

  constructor(entity: string, operation: string, owner: string, user: string) {
    super(
      'ENTITY_OWNERSHIP',
      `${entity} is managed by the session of "${owner}", so the session of "${user}" cannot ${operation} it. ` +
        'Load it in the session that is to use it, by its primary key.',
    );
  }
}

/** Thrown at once by the second of two overlapping calls that change the state of a session. The first goes on. */
export class ConcurrentSessionUseError extends SessionError {
  declare readonly code: 'CONCURRENT_SESSION_USE';

  constructor(label: string, operation: string, running: string) {
    super(
      'CONCURRENT_SESSION_USE',
      `${operation}() was called on the session of "${label}" while its ${running}() was still running. ` +
        'Await the first, or give each branch a session of its own with SessionFactory.begin() or JobService.',
    );
  }
}

/** Thrown where the state of a session does not allow a call. */
export class SessionStateError extends SessionError {
  declare readonly code: 'SESSION_STATE';

  constructor(message: string, options?: ErrorOptions) {
    super('SESSION_STATE', message, options);
  }
}

/**
 * Thrown by a commit that the database turned into a rollback, because a statement had failed and its error was caught.
 * PostgreSQL tells so in the answer to COMMIT only, which MikroORM does not read. Other databases roll back at once, as
 * MariaDB does for a deadlock: there each later statement of the transaction throws it too, with that error as `cause`.
 */
export class TransactionAbortedError extends SessionError {
  declare readonly code: 'TRANSACTION_ABORTED';

  constructor(options?: { readonly cause: unknown }) {
    super(
      'TRANSACTION_ABORTED',
      options === undefined
        ? 'The transaction was rolled back instead of committed, because a statement in it had failed and its error was ' +
            'caught. Let the error pass, or run the statement in session.transactional(), which makes a savepoint.'
        : 'The database has rolled back the transaction because a statement in it had failed, whose error was caught. ' +
            'Let the error pass, and do the work again in a new transaction: a job does so with `retry`.',
      options,
    );
  }
}

/**
 * Thrown where the connection ended, or was given up, between the sending of COMMIT and its answer. Nobody knows then
 * whether the transaction was committed. Its `cause` is the error of the driver.
 */
export class CommitUnknownError extends SessionError {
  declare readonly code: 'COMMIT_UNKNOWN';

  constructor(label: string, cause: unknown) {
    super(
      'COMMIT_UNKNOWN',
      `The connection of "${label}" was lost during its commit, so that nobody knows whether its transaction was ` +
        'committed. Look for what it wrote before you do it again, or make it safe to do twice: insert with a key of ' +
        'the input and `onConflict`.',
      { cause },
    );
  }
}

/**
 * Thrown by a statement whose connection was lost before. Its `cause` is what ended the connection: the error of the
 * server, where it sent one, or that of the network.
 */
export class ConnectionLostError extends SessionError {
  declare readonly code: 'CONNECTION_LOST';

  constructor(label: string, reason: string, remedy: string, cause: unknown) {
    super(
      'CONNECTION_LOST',
      `The connection of "${label}" was lost before this statement: ${reason}. What was not committed is rolled back. ` +
        remedy,
      { cause },
    );
  }
}

/** Thrown at the good end of a scope whose entities were not flushed, with `unflushed: 'error'`. */
export class UnflushedChangesError extends SessionError {
  declare readonly code: 'UNFLUSHED_CHANGES';

  constructor(message: string, options?: ErrorOptions) {
    super('UNFLUSHED_CHANGES', message, options);
  }
}

/** Thrown by the wait for a connection that could never end, since all holders of one wait for another. */
export class SessionPoolDeadlockError extends SessionError {
  declare readonly code: 'SESSION_POOL_DEADLOCK';

  constructor(
    waiter: string,
    /** Who holds the connections: label, age, where it was opened. */
    readonly holders: readonly string[],
    remedy = 'make the pool larger',
  ) {
    super(
      'SESSION_POOL_DEADLOCK',
      `"${waiter}" waits for a connection, but all ${holders.length} of the pool are held by open transactions, or ` +
        `streams, that wait for one more: ${holders.join('; ')}. Use the session of the transaction, read the stream to ` +
        `its end first, or ${remedy}.`,
    );
  }
}

/** Thrown at start when the modules of the application do not fit together. */
export class SessionSetupError extends SessionError {
  declare readonly code: 'SESSION_SETUP';

  constructor(message: string, options?: ErrorOptions) {
    super('SESSION_SETUP', message, options);
  }
}
