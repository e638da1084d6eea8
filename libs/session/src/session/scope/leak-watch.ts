import { Logger } from '@nestjs/common';

import type { LiveScope } from './live-scope.js';

/** A session that may stay open. */
interface WatchedSession {
  readonly scope: LiveScope;
  readonly heldConnections: number;
}

interface Watched {
  readonly timer: NodeJS.Timeout;
  readonly stack: string;
}

/** Reports, once each, the sessions that stay open for too long. Costs nothing when it is off. */
export class LeakWatch {
  readonly #watched = new Map<WatchedSession, Watched>();

  /** @param leakAfter milliseconds; undefined turns it off */
  constructor(private readonly leakAfter: number | undefined) {}

  watch(record: WatchedSession): void {
    if (this.leakAfter === undefined) {
      return;
    }
    const timer = setTimeout(() => this.#report(record), this.leakAfter).unref();
    this.#watched.set(record, { timer, stack: takeStack() });
  }

  forget(record: WatchedSession): void {
    clearTimeout(this.#watched.get(record)?.timer);
    this.#watched.delete(record);
  }

  /** Gives the stack that opened a session, when it was taken. */
  stackOf(record: WatchedSession): string | undefined {
    return this.#watched.get(record)?.stack;
  }

  #report(record: WatchedSession): void {
    const { label, openedAt, state } = record.scope;
    const held = record.heldConnections;
    const stack = (this.stackOf(record) ?? '').split('\n').slice(1).join('\n');
    new Logger('Session').warn(
      `The scope "${label}" has been open for ${Date.now() - openedAt.getTime()} ms. It is ${state} and holds ` +
        `${held === 0 ? 'no connection' : `${held} connection(s)`}. Its session was opened here:\n${stack}`,
    );
  }
}

/** Takes a stack deep enough to reach from here to the code of the user. */
function takeStack(): string {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 50;
  const { stack } = new Error('opened');
  Error.stackTraceLimit = stackTraceLimit;
  return stack ?? '';
}
