import type { BegunTransaction, LeaseOwner } from './begun-transaction.js';
import type { Observed } from './connection-observer.js';
import { IdleTimer } from './idle-timer.js';
import type { RunningStatement } from './pool-facts.js';
import { Silence } from './silence.js';

export interface HeldIdleOptions {
  /** Milliseconds without a statement after which an open transaction is reported. */
  readonly heldIdleAfter: number | undefined;
  readonly onHeldIdle: (owner: LeaseOwner, milliseconds: number) => void;
}

export interface ConnectionUseOptions extends HeldIdleOptions {
  /** The observer of the connections. */
  readonly observed: Observed;
}

const NOBODY: LeaseOwner = { label: 'a connection of the pool' };

/** Keeps who uses a connection, and since when no statement has run on it. */
export class ConnectionUse {
  /** The scope whose code has checked out the connection. */
  scope: LeaseOwner | undefined;
  /** Measures how long the database has owed an answer. */
  readonly silence = new Silence();
  readonly #observed: Observed;
  readonly #idleTimer: IdleTimer | undefined;
  #statement: string | undefined;
  #transaction: BegunTransaction | undefined;

  /** @param isInTransaction returns whether a transaction is open on the connection */
  constructor(
    { observed, heldIdleAfter, onHeldIdle }: ConnectionUseOptions,
    private readonly isInTransaction: () => boolean,
  ) {
    this.#observed = observed;
    if (heldIdleAfter !== undefined) {
      this.#idleTimer = new IdleTimer(heldIdleAfter, () => {
        if (this.heldIdleFor > 0) {
          onHeldIdle(this.owner ?? NOBODY, this.heldIdleFor);
        }
      });
    }
  }

  /** The transaction of an EntityManager that runs on the connection. */
  get transaction(): BegunTransaction | undefined {
    return this.#transaction;
  }

  get owner(): LeaseOwner | undefined {
    return this.#transaction?.owner ?? this.scope;
  }

  get label(): string {
    return (this.owner ?? NOBODY).label;
  }

  /** Whether code of the scope has checked out the connection, or a transaction of the scope runs on it. */
  isOf(scope: LeaseOwner): boolean {
    return this.scope === scope || this.#transaction?.owner === scope;
  }

  /** Milliseconds since the last statement, while a transaction is open. 0 where none is open. */
  get heldIdleFor(): number {
    return this.isInTransaction() ? this.silence.pause : 0;
  }

  /** The statement that waits for an answer. */
  get running(): RunningStatement | undefined {
    return this.#statement === undefined ? undefined : { sql: this.#statement, since: this.silence.since };
  }

  /** Waits for an answer of the database to a statement or to something else, and measures the wait. */
  async ask<Answer>(question: () => Promise<Answer>, statement?: string): Promise<Answer> {
    this.silence.ask();
    this.#statement = statement ?? this.#statement;
    try {
      return await question();
    } finally {
      this.silence.answer();
      if (this.#statement === statement) {
        this.#statement = undefined;
      }
      this.#idleTimer?.start();
    }
  }

  /** Called when the transaction of an EntityManager has the connection. */
  begin(transaction: BegunTransaction): void {
    this.#transaction = transaction;
    this.#observed.observer?.began(transaction.owner);
  }

  /** Called when the connection is given back. */
  end(isCommitted: boolean): void {
    this.#idleTimer?.stop();
    if (this.#transaction !== undefined) {
      this.#observed.observer?.gaveBack(this.#transaction.owner, isCommitted);
    }
  }

  /** Called when nobody uses the connection any more. */
  clear(): void {
    this.scope = undefined;
    this.#transaction = undefined;
  }
}
