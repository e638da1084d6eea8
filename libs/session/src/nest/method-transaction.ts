import { type EntityManager, TransactionPropagation } from '@mikro-orm/core';

import { assertRule, oneOf } from '../session/assert-options.js';
import { SessionStateError } from '../session/session-error.js';
import { assertBeginOptions } from '../session/transaction/assert-begin-options.js';
import { assertJoinable, assertSavepointHas } from '../session/transaction/assert-joinable.js';
import type { BeginOptions } from '../session/transaction/begin-options.js';

/** The transaction of a method with `@InSession()`. */
export interface MethodTransactionOptions extends BeginOptions {
  /**
   * How the method uses an open transaction of its scope. `required` joins it, or begins one. `requires_new` always
   * begins one, on a connection of its own. `nested` makes a savepoint in it, or begins one. `supports` joins it, and
   * never begins one. `not_supported` runs outside of it, and never begins one. `mandatory` joins it, and throws where
   * there is none. `never` throws where there is one.
   *
   * @default 'required'
   */
  readonly propagation?: TransactionPropagation | `${TransactionPropagation}`;
}

/** The place of a call of a method. */
interface MethodCall {
  /** The name of the method, for errors. */
  readonly label: string;
  /** The label of the scope around the call. */
  readonly around: string;
}

type TransactionMode = `${TransactionPropagation}`;

const beginning: ReadonlySet<TransactionMode> = new Set(['required', 'requires_new', 'nested']);

/** Runs a method in the transaction that its options ask for. */
export class MethodTransaction {
  /** The options of a transaction that the method begins. Undefined where it may not begin one. */
  readonly own: BeginOptions | undefined;
  readonly #options: BeginOptions;
  readonly #mode: TransactionMode;

  constructor(wanted: true | MethodTransactionOptions) {
    const { propagation = 'required', ...options } = wanted === true ? {} : wanted;
    this.#options = options;
    this.#mode = propagation;
    this.own = beginning.has(propagation) ? options : undefined;
  }

  /** @throws {SessionStateError} where the method only joins a transaction, and there is none */
  assertNeedsNone(label: string, around?: string): void {
    if (this.#mode === 'mandatory') {
      const where = around === undefined ? 'was called outside of every session scope' : `"${around}" has none open`;
      throw new SessionStateError(
        `"${label}" runs only in a transaction, but ${where}. Call it in session.transactional(), or give it the ` +
          "propagation 'required', which begins one.",
      );
    }
  }

  /**
   * Runs the method in the open transaction of the session, outside of it, or in a new one.
   *
   * @throws {SessionStateError} in a transaction with `never`, without one with `mandatory`, or in one with other
   * options
   */
  run<Result>(session: EntityManager, { label, around }: MethodCall, work: () => Promise<Result>): Promise<Result> {
    const open: unknown = session.getTransactionContext();
    if (open === undefined) {
      this.assertNeedsNone(label, around);
      return this.own === undefined ? work() : session.transactional(work, this.own);
    }
    const joining = { who: `"${label}"`, around };
    switch (this.#mode) {
      case 'required':
      case 'mandatory':
        assertJoinable(joining, this.#options, open);
        return work();
      case 'supports':
        return work();
      case 'nested':
        assertSavepointHas(joining, this.#options, open);
        return session.transactional(work, { ...this.#options, propagation: TransactionPropagation.NESTED });
      case 'requires_new':
        return session.fork().transactional(work, this.#options);
      case 'not_supported':
        return session.fork().transactional(work, { propagation: TransactionPropagation.NOT_SUPPORTED });
      case 'never':
        throw new SessionStateError(
          `"${label}" never runs in a transaction, but "${around}" has one open. Call it outside of that ` +
            "transaction, or give it the propagation 'not_supported'.",
        );
    }
  }
}

const aPropagation = oneOf(...Object.values(TransactionPropagation));

/** @throws {TypeError} for an unknown option, a wrong value, or an option without effect */
export function assertMethodTransaction(wanted: MethodTransactionOptions): void {
  const { propagation, ...options } = wanted;
  if (propagation !== undefined) {
    assertRule('transaction.propagation', propagation, aPropagation);
  }
  assertBeginOptions('@InSession()', options);
  const dropped = Object.entries(options).find(([, value]) => value !== undefined);
  if (
    dropped !== undefined &&
    (propagation === 'supports' || propagation === 'not_supported' || propagation === 'never')
  ) {
    throw new TypeError(
      `@InSession({ transaction: { propagation: '${propagation}' } }) begins no transaction, so that ` +
        `\`${dropped[0]}\` would have no effect. Leave it out, or take another propagation.`,
    );
  }
}
