import { inspect } from 'node:util';

import { IsolationLevel } from '@mikro-orm/core';

import { type BegunWith, findBegunWith } from '../session/transaction/begun-with.js';
import { SessionStateError } from '../session/session-error.js';
import type { BeginOptions } from '../session/transaction/begin-options.js';

/** A method that may join a transaction. */
export interface JoiningMethod {
  /** Names the method. */
  readonly label: string;
  /** Names the scope that has the transaction open. */
  readonly around: string;
}

type Wanted = { readonly [Name in keyof BeginOptions]: BeginOptions[Name] | undefined };

/**
 * Refuses to join a transaction that does not have what a method asks for.
 *
 * @throws {SessionStateError} naming the first option that would be dropped
 */
export function assertJoinable({ label, around }: JoiningMethod, wanted: Wanted, open: unknown): void {
  const begunWith = findBegunWith(open);
  for (const [name, value] of Object.entries(wanted)) {
    if (value !== undefined && !isMet(name, value, begunWith)) {
      const has = Object.hasOwn(DEFAULTS, name) ? `, which has \`${inspect(valueOf(name, begunWith))}\`` : '';
      throw new SessionStateError(
        `"${label}" asks for a transaction with \`${name}: ${inspect(value, { depth: 0 })}\`, but joins the one that ` +
          `"${around}" has open${has}. Begin that one with this option, or give the method a transaction of its own: ` +
          "@InSession({ propagation: 'new' }).",
      );
    }
  }
}

/** What PostgreSQL begins a transaction with where nothing is said. */
const DEFAULTS: Required<BegunWith> = { isolationLevel: IsolationLevel.READ_COMMITTED, readOnly: false };

function isMet(name: string, value: unknown, begunWith: BegunWith): boolean {
  return Object.hasOwn(DEFAULTS, name) && valueOf(name, begunWith) === value;
}

function valueOf(name: string, begunWith: BegunWith): unknown {
  return begunWith[name as keyof BegunWith] ?? DEFAULTS[name as keyof BegunWith];
}
