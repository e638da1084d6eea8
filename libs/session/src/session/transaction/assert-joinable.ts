import { inspect } from 'node:util';

import type { TransactionOptions } from '@mikro-orm/core';

import { SessionStateError } from '../session-error.js';
import { type BegunWith, findBegunWith } from './begun-with.js';

/** A method or call that joins an open transaction. */
export interface Joining {
  /** The text that names it in errors, in quotes where that is a name. */
  readonly who: string;
  /** The label of the scope that has the transaction open. Undefined where that is another session's, given as `ctx`. */
  readonly around: string | undefined;
}

type Wanted = { readonly [Name in JoinedOption]?: TransactionOptions[Name] | undefined };

type JoinedOption = Exclude<keyof TransactionOptions, 'ctx' | 'propagation'>;

/**
 * Refuses to join a transaction whose options differ from the wanted ones.
 *
 * @throws {SessionStateError} for the first option that would be dropped
 */
export function assertJoinable({ who, around }: Joining, wanted: Wanted, open: unknown): void {
  const begunWith = findBegunWith(open);
  for (const [name, value] of Object.entries(wanted)) {
    const has = begunWith[name as keyof BegunWith];
    // The logger context of the open transaction is used.
    if (value !== undefined && value !== has && name !== 'loggerContext') {
      const where = around === undefined ? 'in `ctx`' : `that "${around}" has open`;
      const other =
        around === undefined ? 'leave `ctx` out' : "ask for one beside it with the propagation 'requires_new'";
      throw new SessionStateError(
        `${who} asks for a transaction with \`${name}: ${inspect(value, { depth: 0 })}\`, but joins the one ${where}` +
          `${has === undefined ? '' : `, which has \`${inspect(has)}\``}. Begin that one with this option, or ${other}.`,
      );
    }
  }
}

/** Does the same for a savepoint. A savepoint has its own values of the other options. */
export function assertSavepointHas(joining: Joining, wanted: Wanted, open: unknown): void {
  const { isolationLevel, readOnly, sessionContext } = wanted;
  assertJoinable(joining, { isolationLevel, readOnly, sessionContext }, open);
}
