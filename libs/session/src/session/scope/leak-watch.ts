import { Logger } from '@nestjs/common';

import type { LiveScope } from './live-scope.js';
import type { OnMisuse } from './misuse.js';

/** A session that may stay open. */
interface WatchedSession {
  readonly scope: LiveScope;
  readonly heldConnections: number;
}

interface Watched {
  readonly timer: NodeJS.Timeout;
  readonly stack: string;
}

/** Warns once of each session that stays open for too long. Costs nothing when it is off. */
export class LeakWatch {
  readonly #watched = new Map<object, Watched>();

  /** @param leakAfter milliseconds; undefined turns it off */
  constructor(
    private readonly leakAfter: number | undefined,
    private readonly onMisuse: OnMisuse,
  ) {}

  watch(session: WatchedSession): void {
    if (this.leakAfter === undefined) {
      return;
    }
    const timer = setTimeout(() => this.#report(session), this.leakAfter).unref();
    this.#watched.set(session, { timer, stack: takeStack() });
  }

  forget(session: WatchedSession): void {
    clearTimeout(this.#watched.get(session)?.timer);
    this.#watched.delete(session);
  }

  /** Returns the stack that opened a session, if it was recorded. */
  stackOf(session: object): string | undefined {
    return this.#watched.get(session)?.stack;
  }

  #report(session: WatchedSession): void {
    const { label, openedAt, state } = session.scope;
    const held = session.heldConnections;
    const stack = (this.stackOf(session) ?? '').split('\n').slice(1).join('\n');
    const message =
      `The scope "${label}" has been open for ${Date.now() - openedAt.getTime()} ms. It is ${state} and holds ` +
      `${held === 0 ? 'no connection' : `${held} connection(s)`}. Its session was opened here:\n${stack}`;
    this.onMisuse({ code: 'LEAK', scope: label, message });
    new Logger('Session').warn(message);
  }
}

/** Records a stack that is deep enough to reach the code of the user. */
function takeStack(): string {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 50;
  const { stack } = new Error('opened');
  Error.stackTraceLimit = stackTraceLimit;
  return stack ?? '';
}
