/**
 * The base class of every error of this package. `code` is stable: branch on it. The message is for people, and may
 * change.
 */
export abstract class SessionError extends Error {
  /** Where the documentation of this package explains the error: a file and a heading in it. */
  readonly help: string;

  constructor(
    /** Identifies the kind of the error: `SESSION_CLOSED`. Stable. */
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.help = `docs/troubleshooting.md#${code.toLowerCase()}`;
  }

  /** The name of the class. */
  override get name(): string {
    return this.constructor.name;
  }
}

/** Thrown where a session is needed outside of every scope. */
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

/** Thrown where a task uses the session of another task. */
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

/** Thrown where a session is given an entity that another live session manages. Neither session is changed. */
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
 * PostgreSQL reports this only in its answer to COMMIT, which MikroORM does not read. Other databases roll back at
 * once, as MariaDB does for a deadlock: there, each later statement of the transaction throws this error too, with the
 * error of the database as `cause`.
 */
export class TransactionAbortedError extends SessionError {
  declare readonly code: 'TRANSACTION_ABORTED';

  constructor(options?: { readonly cause: unknown }) {
    super(
      'TRANSACTION_ABORTED',
      options === undefined
        ? 'The transaction was rolled back instead of committed, because a statement in it had failed and its error was ' +
            'caught. Let the error pass, or run the statement in session.transactional(), which makes a savepoint.'
        : 'The database has rolled back the transaction, because a statement in it had failed and its error was caught. ' +
            'Let the error pass, and repeat the work in a new transaction. A job does so with the option `retry`.',
      options,
    );
  }
}

/**
 * Thrown where the connection was lost after COMMIT was sent and before its answer came. Nobody knows then whether the
 * transaction was committed. Its `cause` is the error of the driver.
 */
export class CommitUnknownError extends SessionError {
  declare readonly code: 'COMMIT_UNKNOWN';

  constructor(label: string, cause: unknown) {
    super(
      'COMMIT_UNKNOWN',
      `The connection of "${label}" was lost during its commit, so that nobody knows whether its transaction was ` +
        'committed. Before you repeat the work, look for the rows that it writes, or make it safe to repeat: insert ' +
        'with a key of the input and `onConflict`.',
      { cause },
    );
  }
}

/**
 * Thrown by a statement whose connection had been lost. Its `cause` is the error that ended the connection: that of the
 * server, if the server sent one, or that of the network.
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

/**
 * Thrown where the work of a scope succeeded, but its entities were not flushed, with the option `unflushed: 'error'`.
 */
export class UnflushedChangesError extends SessionError {
  declare readonly code: 'UNFLUSHED_CHANGES';

  constructor(message: string, options?: ErrorOptions) {
    super('UNFLUSHED_CHANGES', message, options);
  }
}

/** Thrown where a wait for a connection could never end, because all holders of connections wait for one more. */
export class SessionPoolDeadlockError extends SessionError {
  declare readonly code: 'SESSION_POOL_DEADLOCK';

  constructor(
    waiter: string,
    /** The holders of the connections: the label, the age and, with `leakAfter`, the place that opened each. */
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
