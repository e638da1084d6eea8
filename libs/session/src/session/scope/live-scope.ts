import { randomUUID } from 'node:crypto';

import type { Enrolled, Roster } from './roster.js';
import type { Scope, ScopeKind, ScopeState } from './scope.js';
import { describeEnding, type ScopeEnding } from './scope-ending.js';
import { inheritInfo, inheritPortableInfo, type ScopeInfo } from './scope-info.js';
import { findTask } from '../ownership/task-rule.js';
import { SessionClosedError } from '../session-error.js';
import type { LeftSession } from '../pool/begun-transaction.js';
import type { SessionFacts } from '../session-facts.js';

/** A part of a scope that the scope closes at its end: the session of one connection. */
export interface ScopeMember {
  /** The number of connections that it holds. */
  readonly heldConnections: number;
  /** Milliseconds since its last statement, while a transaction holds a connection. */
  readonly heldIdleFor: number;
  /** Undefined for a member that is not a session but has sessions. */
  readonly facts: SessionFacts | undefined;
  close(ending: ScopeEnding): Promise<void>;
  /** Ends its connections without a word to the server. */
  dropConnections(): void;
  endForgotten(): void;
}

/** What an observer keeps with a scope. */
export interface ScopeNotes {
  /** The id of the scope, where it had none when the notes were begun. */
  readonly id: string;
  /** Called when the work of the scope has thrown, and the scope has ended. */
  failed(error: unknown): void;
}

export interface LiveScopeOptions {
  readonly kind: ScopeKind;
  readonly label?: string;
  /** The scope in which the code ran that opened this one. */
  readonly startedIn?: LiveScope | undefined;
  /** Returns the signal that the signal of the scope follows. Called when that is first used. */
  readonly signal?: (() => AbortSignal) | undefined;
  readonly info?: ScopeInfo | undefined;
  /**
   * Data of the message or event that the scope is for, such as its payload. It is part of `info` in this process, and
   * is never sent to another thread or process.
   */
  readonly origin?: ScopeInfo | undefined;
  /** The list that the scope is in while it has a session. */
  readonly live: Roster<LiveScope>;
}

export type ScopeOptions = Omit<LiveScopeOptions, 'live'>;

/** A scope that can be ended. It costs little until the first session is opened. */
export class LiveScope implements Scope, Enrolled<LiveScope> {
  roster: object | undefined;
  before: LiveScope | undefined;
  after: LiveScope | undefined;
  readonly kind: ScopeKind;
  /**
   * The scope that is current in place of this one. Set where nobody had used this scope when its synchronous opener
   * returned.
   */
  standsFor: LiveScope | undefined;
  left: LeftSession | undefined;
  /** Notes of an observer. */
  notes: ScopeNotes | undefined;
  readonly startedIn: LiveScope | undefined;
  /** The scope that began the task of this scope. Undefined for scopes of the main program. */
  readonly task: LiveScope | undefined;
  readonly #openedAt = Date.now();
  readonly #label: string | undefined;
  readonly #info: ScopeInfo;
  readonly #portableInfo: ScopeInfo;
  readonly #outerSignal: (() => AbortSignal) | undefined;
  readonly #live: Roster<LiveScope>;
  #id: string | undefined;
  #aborter: AbortController | undefined;
  #signal: AbortSignal | undefined;
  #members: Map<object, ScopeMember> | undefined;
  #removals: Set<Promise<void>> | undefined;
  #ending: ScopeEnding | undefined;
  #closed: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: LiveScopeOptions) {
    this.kind = options.kind;
    this.#info = inheritInfo(options, options.startedIn);
    this.#portableInfo = inheritPortableInfo(options, options.startedIn, this.#info);
    this.task = findTask(this, options);
    this.startedIn = findOpen(options.startedIn);
    this.#label = options.label;
    this.#outerSignal = options.signal;
    this.#live = options.live;
  }

  get id(): string {
    return (this.#id ??= this.notes?.id ?? randomUUID());
  }

  /** Undefined until somebody has asked for the id. */
  get knownId(): string | undefined {
    return this.#id;
  }

  get label(): string {
    return this.#label ?? this.kind;
  }

  get info(): ScopeInfo {
    return this.#info;
  }

  /** The part of `info` that is sent with work for another thread or process. */
  get portableInfo(): ScopeInfo {
    return this.#portableInfo;
  }

  get openedAt(): Date {
    return new Date(this.#openedAt);
  }

  get ending(): ScopeEnding | undefined {
    return this.#ending;
  }

  get state(): ScopeState {
    if (this.#ending === undefined) {
      return 'open';
    }
    return this.#isClosed ? 'closed' : 'closing';
  }

  get signal(): AbortSignal {
    return (this.#signal ??= this.#createSignal());
  }

  get members(): readonly ScopeMember[] {
    return [...(this.#members?.values() ?? [])];
  }

  /** Returns the member with this key, and opens it on first use. */
  member<Member extends ScopeMember>(key: object, open: () => Member): Member {
    this.assertOpen();
    if (this.#members === undefined) {
      this.onFirstUse();
      this.assertOpen();
      this.#members = new Map();
    }
    const known = this.#members.get(key);
    if (known !== undefined) {
      return known as Member;
    }
    const member = open();
    this.#members.set(key, member);
    this.#live.add(this);
    return member;
  }

  has(key: object): boolean {
    return this.#members?.has(key) === true;
  }

  /** Closes the member with this key and forgets it, even when closing fails. */
  async remove(key: object): Promise<void> {
    const member = this.#members?.get(key);
    if (member === undefined) {
      return;
    }
    this.#members?.delete(key);
    const closed = member.close('removed');
    this.#removals ??= new Set();
    this.#removals.add(closed);
    try {
      await closed;
    } finally {
      this.#removals.delete(closed);
      if (this.members.length === 0) {
        this.#live.delete(this);
      }
    }
  }

  /** Ends the connections of its sessions, whatever they are doing. */
  dropConnections(): void {
    this.members.forEach((member) => member.dropConnections());
  }

  /** Ends the waits of its sessions for answers that the network has lost. */
  endForgotten(): void {
    this.members.forEach((member) => member.endForgotten());
  }

  /** Ends the scope before its work ends: aborts its signal and rolls back its open transaction. */
  cancel(reason: Error): Promise<void> {
    this.abort(reason);
    return this.end('aborted');
  }

  /** Closes every session for good. A second call waits for the first. */
  end(ending: ScopeEnding): Promise<void> {
    this.#closed ??= this.#close(ending);
    return this.#closed;
  }

  /** @throws {SessionClosedError} after the end */
  assertOpen(): void {
    if (this.#ending !== undefined) {
      throw new SessionClosedError(this.label, describeEnding(this.#ending));
    }
  }

  /** A block ends with the task that started it, and a method with its caller. */
  protected get endsWithStarter(): boolean {
    return this.kind === 'method' || this.startedIn?.task === this.task;
  }

  protected abort(reason: unknown): void {
    this.#aborter?.abort(reason);
  }

  /** Called before the first session is opened. A scope without a session does not pay for it. */
  protected onFirstUse(): void {}

  #createSignal(): AbortSignal {
    this.#aborter = new AbortController();
    this.onFirstUse();
    const own = this.#aborter.signal;
    const around = this.endsWithStarter ? this.startedIn?.signal : undefined;
    const others = [this.#outerSignal?.(), around].filter((signal) => signal !== undefined);
    return others.length === 0 ? own : AbortSignal.any([own, ...others]);
  }

  async #close(ending: ScopeEnding): Promise<void> {
    this.#ending = ending;
    try {
      // Nearly every scope has one session.
      await (this.#members?.size === 1
        ? this.#members.values().next().value?.close(ending)
        : closeAll(this.members, ending, this.label));
    } finally {
      if (this.#removals !== undefined) {
        // The caller of remove() gets these errors.
        await Promise.allSettled(this.#removals);
      }
      this.#isClosed = true;
      this.#live.delete(this);
    }
  }
}

async function closeAll(members: readonly ScopeMember[], ending: ScopeEnding, label: string): Promise<void> {
  const results = await Promise.allSettled(members.map((member) => member.close(ending)));
  const failures = results.filter((result) => result.status === 'rejected').map((result) => result.reason as unknown);
  if (failures.length === 1) {
    throw failures[0];
  }
  if (failures.length > 1) {
    throw new AggregateError(failures, `${failures.length} sessions of "${label}" could not be closed`);
  }
}

/**
 * Skips scopes that have ended. Otherwise work that starts the next work, again and again, would make an endless chain.
 */
function findOpen(scope: LiveScope | undefined): LiveScope | undefined {
  return scope === undefined || scope.state === 'open' ? scope : findOpen(scope.startedIn);
}
