/** The root of every error of this package: `code` is stable and safe to branch on, the message is for people. */
export abstract class SessionError extends Error {
  abstract readonly code: string;

  override get name(): string {
    return this.constructor.name;
  }
}

/** Thrown where a session is asked for outside of every scope. */
export class NoActiveSessionError extends SessionError {
  readonly code = 'NO_ACTIVE_SESSION';

  constructor(what: string) {
    super(
      `${what} was used outside of every session scope. ` +
        'Use it in a request or a job, or open a scope with SessionFactory.run() or SessionFactory.begin().',
    );
  }
}

/** Thrown by every use of a session after its end. */
export class SessionClosedError extends SessionError {
  readonly code = 'SESSION_CLOSED';

  constructor(label: string, ending: string) {
    super(
      `The session of "${label}" was used after its end: ${ending}. ` +
        'Await everything that uses a session within its scope, or open one of its own for it with SessionFactory.run().',
    );
  }
}

/** Thrown at start when the modules of the application do not fit together. */
export class SessionSetupError extends SessionError {
  readonly code = 'SESSION_SETUP';
}
