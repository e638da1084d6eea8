import { LiveScope } from '../../session/scope/live-scope.js';
import type { ScopeEnding } from '../../session/scope/scope-ending.js';
import type { ScopeObserver } from '../../session/scope/scope-observer.js';
import type { Misuse } from '../../session/scope/misuse.js';
import type { LeaseOwner } from '../../session/pool/begun-transaction.js';
import type { ConnectionObserver } from '../../session/pool/connection-observer.js';
import { describeFailure } from './describe-failure.js';
import type { EndedScope, MisuseView, ScopeOutcome } from './inspector-state.js';
import { remedyFor } from './remedy-for.js';
import { Ring } from './ring.js';
import { ScopeNotes } from './scope-notes.js';

const MISUSES = 200;
const LONGEST_TEXT = 1_000;

/** Keeps a record of the last scopes and the last misuses. */
export class ScopeLog implements ScopeObserver, ConnectionObserver {
  readonly misuses = new Ring<MisuseView>(MISUSES);
  readonly #ended: Ring<ScopeNotes>;
  readonly #describe: (error: unknown) => string;

  /** @param history the number of scopes that are kept */
  constructor(history: number, values: boolean) {
    this.#ended = new Ring(history);
    this.#describe = (error) => cut(describeFailure(error, values));
  }

  /** The key of the last scope that has ended. */
  get lastKey(): number {
    return this.#ended.nextKey - 1;
  }

  /** Returns the scopes that have ended after the one with this key, the oldest first. */
  endedAfter(key: number): EndedScope[] {
    return this.#ended.after(key).map(({ ended }) => ended);
  }

  opened(scope: LiveScope): void {
    if (scope.notes === undefined) {
      scope.notes = new ScopeNotes(performance.now() - (Date.now() - scope.openedAt.getTime()), this.#describe);
    }
  }

  closed(scope: LiveScope): void {
    const notes = notesOf(scope);
    if (notes === undefined || notes.key > 0) {
      return;
    }
    notes.end(scope, {
      key: this.#ended.nextKey,
      label: cut(scope.label),
      outcome: findOutcome(scope.ending, notes.isCommitted),
    });
    this.#ended.add(notes);
  }

  misused({ code, scope, message }: Misuse): void {
    this.misuses.add({
      key: this.misuses.nextKey,
      at: Date.now(),
      code,
      scope: cut(scope),
      message: cut(message),
      remedy: remedyFor(code),
    });
  }

  asked(owner: LeaseOwner | undefined): void {
    notesOf(owner)?.asked();
  }

  answered(owner: LeaseOwner | undefined): void {
    notesOf(owner)?.answered();
  }

  began(owner: LeaseOwner): void {
    notesOf(owner)?.began();
  }

  gaveBack(owner: LeaseOwner, isCommitted: boolean): void {
    notesOf(owner)?.gaveBack(isCommitted);
  }
}

/** Returns the notes about a scope that has, or had, a session. */
export function notesOf(owner: object | undefined): ScopeNotes | undefined {
  const notes = owner instanceof LiveScope ? owner.notes : undefined;
  return notes instanceof ScopeNotes ? notes : undefined;
}

function findOutcome(ending: ScopeEnding | undefined, isCommitted: boolean | undefined): ScopeOutcome {
  switch (ending) {
    case 'timeout':
    case 'aborted':
    case 'disconnected':
      return ending;
    case 'threw':
      return 'failed';
    default:
      if (isCommitted === undefined) {
        return 'done';
      }
      return isCommitted ? 'committed' : 'rolledBack';
  }
}

function cut(text: string): string {
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}...` : text;
}
