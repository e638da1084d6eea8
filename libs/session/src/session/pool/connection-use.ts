import type { BegunTransaction, LeaseOwner } from './begun-transaction.js';
import { IdleTimer } from './idle-timer.js';
import { Silence } from './silence.js';

export interface HeldIdleOptions {
  /** Milliseconds after which a transaction without a statement is reported. */
  readonly heldIdleAfter: number | undefined;
  readonly onHeldIdle: (owner: LeaseOwner, milliseconds: number) => void;
}

const NOBODY: LeaseOwner = { label: 'a connection of the pool' };

/** Knows who uses a connection, and since when no statement has run on it. */
export class ConnectionUse {
  /** The scope whose code has checked it out. */
  scope: LeaseOwner | undefined;
  /** The transaction of an EntityManager that runs on it. */
  transaction: BegunTransaction | undefined;
  /** How long the database has owed an answer to a statement. */
  readonly silence = new Silence();
  readonly #idleTimer: IdleTimer | undefined;

  /** @param isInTransaction whether a transaction is open on it */
  constructor(
    { heldIdleAfter, onHeldIdle }: HeldIdleOptions,
    private readonly isInTransaction: () => boolean,
  ) {
    if (heldIdleAfter !== undefined) {
      this.#idleTimer = new IdleTimer(heldIdleAfter, () => {
        if (this.heldIdleFor > 0) {
          onHeldIdle(this.owner ?? NOBODY, this.heldIdleFor);
        }
      });
    }
  }

  get owner(): LeaseOwner | undefined {
    return this.transaction?.owner ?? this.scope;
  }

  get label(): string {
    return (this.owner ?? NOBODY).label;
  }

  /** Whether code of a scope has checked it out, or its transaction runs on it. */
  isOf(scope: LeaseOwner): boolean {
    return this.scope === scope || this.transaction?.owner === scope;
  }

  /** Milliseconds for which no statement has run in the transaction that is open on it; 0 where there is none. */
  get heldIdleFor(): number {
    return this.isInTransaction() ? this.silence.pause : 0;
  }

  /** Waits for an answer of the database. */
  async ask<Answer>(question: () => Promise<Answer>): Promise<Answer> {
    this.silence.ask();
    try {
      return await question();
    } finally {
      this.silence.answer();
      this.#idleTimer?.start();
    }
  }

  /** Called where the connection is given back. */
  end(): void {
    this.#idleTimer?.stop();
  }
}
