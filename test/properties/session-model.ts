import type { Abilities } from './abilities.js';
import type { Happening, PartKind } from './journal.js';
import { WaitingCallbacks } from './waiting-callbacks.js';
import { type Expected, WrittenRows } from './written-rows.js';

export interface Surroundings {
  readonly abilities: Abilities;
  /** Rows of which nothing is known: the wait for a connection failed, and it may have been that of the flush or not. */
  readonly unknown: Set<string>;
  complain(what: string): void;
  /** Whether every connection may have been held, of late, by transactions that wait for one more. */
  mayBeStuck(): boolean;
}

type How = 'returned' | 'threw' | 'never entered';

const DEADLOCK = 'SessionPoolDeadlockError';
const UNKNOWN = 'CommitUnknownError';

/** Follows one session through its part of the journal, and complains of each answer that is not what it must be. */
export class SessionModel {
  isOver = false;
  readonly #rows = new WrittenRows();
  readonly #callbacks = new WaitingCallbacks();
  readonly #called = new Map<string, string[]>();
  #how: How = 'never entered';
  #howTransactional: How = 'never entered';

  constructor(
    readonly kind: PartKind,
    readonly within: number | undefined,
    private readonly isManaged: boolean,
    private readonly surroundings: Surroundings,
  ) {}

  get committed(): readonly string[] {
    return this.#rows.committed;
  }

  /**
   * Whether it may hold a connection: one statement of its transaction is enough, which may run just now. What a request
   * leaves open is open until its response is closed.
   */
  get mayHoldConnection(): boolean {
    return this.#rows.isInTransaction && (!this.isOver || this.kind === 'request');
  }

  /** Whether it may have to wait for a connection. */
  get mayWait(): boolean {
    return !this.isOver && !this.#rows.hasConnection;
  }

  follow(happening: Happening): void {
    const rows = this.#rows;
    switch (happening.event) {
      case 'planned':
        return;
      case 'entered':
        return this.#enter();
      case 'left':
        this.#how = happening.how;
        return;
      case 'reported':
        return this.#report(happening.error);
      case 'create':
        return rows.persist(happening.tag, happening.quality);
      case 'insert':
        return this.#insert(happening.tag, happening.error);
      case 'flush':
        return this.#flush(happening.error);
      case 'read':
        return this.#read(happening.found, happening.errors);
      case 'wrong sql':
        this.#expectStatement('wrong sql', 'fails', happening.error);
        return this.#failStatement();
      case 'lose connection':
        this.#expectStatement('a statement on a lost connection', 'fails', happening.error);
        return rows.loseConnection();
      case 'cut statement':
        this.#expectStatement('a statement whose connection is cut', 'fails', happening.error);
        return rows.loseConnection();
      case 'cancel statement':
        this.#expectStatement('a cancelled statement', 'fails', happening.error);
        return this.#failStatement();
      case 'lose the answer to commit':
        return this.#loseAnswer(happening.error);
      case 'black hole':
        return this.#fallSilent(happening.at);
      case 'register':
        return this.#callbacks.register(happening.name, rows.isEnded);
      case 'committed':
      case 'rolled back':
        this.#called.set(happening.name, [...(this.#called.get(happening.name) ?? []), happening.event]);
        return;
      case 'commit by hand':
        return this.#commitByHand(happening.error);
      case 'begin':
        return this.#begin(happening.error);
      case 'commit':
        return this.#commit(happening.error);
      case 'rollback':
        return this.#rollback(happening.error);
      case 'transactional entered':
        this.#callbacks.enter();
        rows.enter();
        return this.#connect();
      case 'transactional left':
        this.#howTransactional = happening.how;
        return;
      case 'transactional reported':
        return this.#reportTransactional(happening.error, happening.isEntered);
    }
  }

  #enter(): void {
    this.#how = 'returned';
    if (this.isManaged) {
      this.#rows.begin();
      this.#connect();
    }
  }

  /** A transaction has begun. */
  #connect(): void {
    if (this.surroundings.abilities.connectsAtBegin) {
      this.#rows.send();
    }
  }

  #failStatement(): void {
    if (this.surroundings.abilities.abortsOnError) {
      this.#rows.abort();
    }
  }

  #insert(tag: string, error: string | undefined): void {
    this.#expectStatement('insert', this.#rows.statement, error);
    if (error === undefined) {
      this.#rows.insert(tag);
    }
  }

  #flush(error: string | undefined): void {
    if (this.#rows.pending.length > 0) {
      this.#expectStatement('flush', this.#rows.flushing, error);
    } else {
      this.#expect('flush', this.#rows.flushing, error);
    }
    this.#settleFlush(error);
    if (error === undefined) {
      this.#rows.flush();
    } else {
      this.#rows.failFlush();
    }
  }

  /** The first of several reads at once flushes for all of them. */
  #read(found: readonly (readonly string[])[], errors: readonly string[]): void {
    const { unknown } = this.surroundings;
    const { flushing, isQueued, pending, statement } = this.#rows;
    for (const error of errors.length === 0 ? [undefined] : errors) {
      this.#expectStatement('read', isQueued && flushing !== 'works' ? flushing : statement, error);
    }
    const isStuck = errors.includes(DEADLOCK);
    if (isQueued && isStuck) {
      // Was it the flush that could not be had, or the read after it?
      pending.forEach((tag) => unknown.add(tag));
    }
    if (isQueued && isStuck && !this.#rows.isInTransaction) {
      this.#callbacks.giveUp();
    } else if (isQueued) {
      this.#settleFlush(flushing === 'fails' ? errors[0] : undefined);
    }
    if (isQueued && (isStuck || (flushing === 'fails' && errors.length > 0))) {
      this.#rows.failFlush();
    } else if (isQueued) {
      this.#rows.flush();
    }
    const visible = this.#rows.visible.filter((tag) => !unknown.has(tag)).join();
    for (const tags of found) {
      const seen = tags.filter((tag) => !unknown.has(tag)).toSorted();
      if (seen.join() !== visible) {
        this.#complain(`read found [${seen.join()}] where [${visible}] was written`);
      }
    }
  }

  #begin(error: string | undefined): void {
    if (this.#rows.isInTransaction) {
      this.#expectRefusal('begin', error);
      return;
    }
    this.#expect('begin', 'works', error);
    if (error === undefined) {
      this.#rows.begin();
      this.#connect();
    }
  }

  #commit(error: string | undefined): void {
    if (this.#isOwned) {
      this.#expectRefusal('commit', error);
      return;
    }
    const isOpen = this.#rows.isInTransaction;
    this.#expect('commit', this.#rows.committing, error);
    this.#expectUnknown('commit', error);
    if (isOpen) {
      this.#callbacks.settle(this.#endOf(error));
    }
    if (error === undefined) {
      this.#rows.commit();
    } else if (this.#isUnknown(error)) {
      this.#mayBeThere(this.#rows.loseCommit());
    } else {
      this.#rows.failCommit();
    }
  }

  #rollback(error: string | undefined): void {
    if (this.#isOwned) {
      this.#expectRefusal('rollback', error);
      return;
    }
    this.#expect('rollback', this.#rows.rollingBack, error);
    if (this.#rows.isInTransaction) {
      this.#callbacks.settle('rollback');
    }
    if (error === undefined) {
      this.#rows.rollback();
    }
  }

  /** Whether the transaction is to be ended by the block that began it, and by nobody else. */
  get #isOwned(): boolean {
    return this.#rows.isWithin || this.isManaged;
  }

  #reportTransactional(error: string | undefined, isEntered: boolean): void {
    if (!isEntered) {
      this.#expect('transactional', this.#rows.statement, error);
      if (!this.#rows.isInTransaction) {
        this.#callbacks.settle('rollback');
      }
      return;
    }
    const hasReturned = this.#howTransactional === 'returned';
    if (!hasReturned) {
      this.#expectEnd('transactional', 'fails', error);
    } else {
      this.#expect('transactional', this.#rows.committing, error);
      this.#expectUnknown('transactional', error);
    }
    const isUnknown = hasReturned && this.#isUnknown(error);
    if (this.#rows.isOutermost) {
      this.#callbacks.leaveOutermost(hasReturned ? this.#endOf(error) : 'rollback');
    } else {
      this.#callbacks.leave(error === undefined ? 'commit' : 'rollback');
    }
    if (error === undefined) {
      this.#rows.leave();
    } else if (isUnknown) {
      this.#mayBeThere(this.#rows.loseLeave());
    } else {
      this.#rows.failLeave();
    }
  }

  #report(error: string | undefined): void {
    switch (this.#how) {
      case 'never entered':
        this.#expect('the whole', error === 'AbortError' ? 'fails' : 'works', error);
        break;
      case 'threw':
        this.#expectEnd('the whole', 'fails', error);
        break;
      case 'returned':
        this.#expect('the whole', this.isManaged ? this.#rows.committing : this.#ending, error);
    }
    const isCommitted = this.isManaged && this.#how === 'returned';
    if (isCommitted) {
      this.#expectUnknown('the whole', error);
    }
    if (this.#rows.isInTransaction) {
      this.#callbacks.settle(isCommitted ? this.#endOf(error) : 'rollback');
    }
    if (isCommitted && error === undefined) {
      this.#rows.commit();
    } else if (isCommitted && this.#isUnknown(error)) {
      this.#mayBeThere(this.#rows.loseCommit());
    }
    this.isOver = true;
  }

  /** The end of a scope that commits nothing: it rolls back what was left open. */
  get #ending(): Expected {
    return this.#rows.isInTransaction ? this.#rows.rollingBack : 'works';
  }

  /** Complains of callbacks that ran for another end than that of their transaction, or not at all, or twice. */
  judgeCallbacks(): void {
    const wanted = { commit: 'committed', rollback: 'rolled back', neither: '' } as const;
    for (const [name, call] of this.#callbacks.calls) {
      const called = this.#called.get(name) ?? [];
      if (call === 'unclear' ? called.length > 1 : called.join() !== wanted[call]) {
        this.#complain(`callback ${name} was told [${called.join()}], where ${call} was right`);
      }
    }
  }

  #settleFlush(error: string | undefined): void {
    const { isInTransaction, pending } = this.#rows;
    if (!isInTransaction && (error !== undefined || pending.length > 0)) {
      this.#callbacks.settle(error === undefined ? 'commit' : 'rollback');
    }
  }

  /** What is said on a lost connection may be refused for that alone. */
  #commitByHand(error: string | undefined): void {
    if (!this.#rows.isLost || error !== 'ConnectionLostError') {
      this.#expectRefusal('a commit by hand', error);
    }
  }

  #loseAnswer(error: string | undefined): void {
    this.#expectStatement('a statement', this.#rows.statement, error);
    if (error === undefined) {
      this.#rows.loseAnswer();
    }
  }

  /** The statement fails that is lost, or the commit, of which nobody knows. */
  #fallSilent(at: 'statement' | 'commit'): void {
    if (at === 'statement') {
      this.#rows.loseConnection();
      this.#how = 'threw';
    } else {
      this.#rows.loseAnswer();
    }
  }

  #isUnknown(error: string | undefined): boolean {
    return error === UNKNOWN && this.#rows.isAnswerLost;
  }

  #endOf(error: string | undefined): 'commit' | 'rollback' | 'unknown' {
    if (error === undefined) {
      return 'commit';
    }
    return this.#isUnknown(error) ? 'unknown' : 'rollback';
  }

  #mayBeThere(tags: readonly string[]): void {
    tags.forEach((tag) => this.surroundings.unknown.add(tag));
  }

  /** A commit whose answer was lost is not to be taken for one that failed, nor for one that worked. */
  #expectUnknown(what: string, error: string | undefined): void {
    const { isAnswerLost, sendingCommit } = this.#rows;
    if (isAnswerLost && sendingCommit === 'works' && error !== UNKNOWN) {
      this.#complain(`${what} ended with ${error ?? 'no error'}, where nobody knows how it ended`);
    }
  }

  #expectStatement(what: string, expected: Expected, error: string | undefined): void {
    this.#expect(what, expected, error);
    // One that failed may have failed before it was sent.
    if (error === undefined) {
      this.#rows.send();
    }
  }

  /** Judges what may have to wait for a connection. */
  #expect(what: string, expected: Expected, error: string | undefined): void {
    if (error !== DEADLOCK) {
      this.#expectEnd(what, expected, error);
      return;
    }
    if (this.#rows.hasConnection) {
      this.#complain(`${what} waited for a connection although its transaction has one`);
    } else if (!this.#rows.isStuck && !this.surroundings.mayBeStuck()) {
      this.#complain(`${what} failed with a deadlock that was none`);
    }
    this.#rows.getStuck();
  }

  #expectEnd(what: string, expected: Expected, error: string | undefined): void {
    if (expected === 'works' && error !== undefined) {
      this.#complain(`${what} failed with ${error}, without a reason`);
    } else if (expected === 'fails' && error === undefined) {
      this.#complain(`${what} was reported to have worked, which it cannot have`);
    }
  }

  #expectRefusal(what: string, error: string | undefined): void {
    if (error !== 'SessionStateError') {
      this.#complain(`${what} may not be called here, and was answered with ${error ?? 'no error'}`);
    }
  }

  #complain(what: string): void {
    this.surroundings.complain(what);
  }
}
