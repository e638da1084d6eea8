import { SessionStateError } from '../session-error.js';
import type { BegunTransaction } from './begun-transaction.js';
import type { Lease } from './lease.js';
import type { SetUp, SetUpHooks } from './set-up-hooks.js';
import { transactionEnded } from './unexpected-end.js';

/** A wait for a connection. */
export interface LeaseWait {
  readonly lease: Promise<Lease>;
  leave(reason: Error): void;
}

/** Takes a connection from the pool for a transaction, once. Gives up the wait when the transaction ends first. */
export class ConnectionOpening {
  /** Hooks to run on the connection before anything else. */
  readonly setUps: SetUp[] = [];
  readonly #begun: BegunTransaction;
  readonly #connect: () => LeaseWait;
  readonly #hooks: SetUpHooks;
  #wait: LeaseWait | undefined;
  #opened: Promise<Lease> | undefined;
  #lease: Lease | undefined;
  /** The error for which the transaction could not begin. */
  #failure: { readonly error: unknown } | undefined;
  #isReleased = false;

  constructor(begun: BegunTransaction, connect: () => LeaseWait, hooks: SetUpHooks) {
    this.#begun = begun;
    this.#connect = connect;
    this.#hooks = hooks;
  }

  /** The connection. Undefined before it is there. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  open(): Promise<Lease> {
    this.assertPossible();
    return (this.#opened ??= this.#take());
  }

  /** Called when the transaction could not be begun. */
  fail(error: unknown): void {
    this.#failure = { error };
  }

  giveUpWait(): void {
    if (this.#lease === undefined) {
      const { label } = this.#begun.owner;
      const reason = new SessionStateError(`The transaction of "${label}" was rolled back before it had a connection.`);
      this.#failure ??= { error: reason };
      this.#wait?.leave(reason);
    }
  }

  release(error?: Error | boolean): void {
    this.#isReleased = true;
    this.#lease?.client.release(error);
  }

  /** @throws when the transaction could not begin, or has ended */
  assertPossible(): void {
    if (this.#failure !== undefined) {
      throw this.#failure.error;
    }
    if (this.#isReleased) {
      throw transactionEnded(this.#begun.owner.label);
    }
  }

  async #take(): Promise<Lease> {
    try {
      this.#wait = this.#connect();
      const lease = await this.#wait.lease;
      if (this.#isReleased || this.#failure !== undefined) {
        // The connection came when nobody waited for it any more.
        lease.client.release();
      }
      this.assertPossible();
      this.#lease = lease;
      await this.#setUp(lease);
      return lease;
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    }
  }

  /** Runs the hooks outside of the transaction. */
  async #setUp(lease: Lease): Promise<void> {
    for (const setUp of this.setUps) {
      await this.#begun.asOwner(() => this.#hooks.setUp(lease, setUp));
    }
  }
}
