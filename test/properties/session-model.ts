import type { Happening, PartKind } from './journal.js';
import type { Quality } from './program.js';

interface Row {
  readonly tag: string;
  readonly quality: Quality;
  /** Whether it has a key, from a flush that was rolled back. Then a flush that fails does not forget it. */
  hasKey?: boolean;
}

/** An open transaction, or a savepoint in one. */
interface Transaction {
  readonly rows: Row[];
  /** What was caught and yet forbids the commit. */
  isDoomed: boolean;
  /** Whether PostgreSQL refuses every statement but a rollback. */
  isAborted: 'no' | 'maybe' | 'yes';
  /** Whether its connection may be gone, on which a rollback fails. */
  isLost: boolean;
}

/** What one EntityManager has to write: the session itself, or the fork of a `transactional()` call. */
interface Level {
  pending: Row[];
  /** What a `transactional()` call has written since the last flush: rolled back, it is pending again. */
  handedOver: Row[];
  /** Whether a read writes the pending rows first. */
  isQueued: boolean;
  transaction?: Transaction | undefined;
}

export interface Surroundings {
  readonly committed: Set<string>;
  /** Rows of which nothing is known: the wait for a connection failed, and it may have been that of the flush or not. */
  readonly unknown: Set<string>;
  complain(what: string): void;
  /** Whether every connection may have been held, of late, by transactions that wait for one more. */
  mayBeStuck(): boolean;
}

const DEADLOCK = 'SessionPoolDeadlockError';

function newTransaction(): Transaction {
  return { rows: [], isDoomed: false, isAborted: 'no', isLost: false };
}

/** Predicts one session: what each of its steps may answer, and which rows it has committed. */
export class SessionModel {
  isOver = false;
  readonly #levels: Level[] = [{ pending: [], handedOver: [], isQueued: false }];
  readonly #written = new Set<string>();
  #how: 'returned' | 'threw' | 'never entered' = 'never entered';
  #left: 'returned' | 'threw' = 'returned';

  constructor(
    readonly kind: PartKind,
    readonly within: number | undefined,
    private readonly isManaged: boolean,
    private readonly surroundings: Surroundings,
  ) {}

  get holdsConnection(): boolean {
    return this.#levels.some(({ transaction }) => transaction !== undefined);
  }

  follow(happening: Happening): void {
    switch (happening.event) {
      case 'planned':
        return;
      case 'entered':
        this.#how = 'returned';
        this.#top.transaction = this.isManaged ? newTransaction() : undefined;
        return;
      case 'left':
        this.#how = happening.how;
        return;
      case 'reported':
        return this.#report(happening.error);
      case 'create':
        this.#top.pending.push(happening);
        this.#top.isQueued = true;
        return;
      case 'insert':
        return this.#insert(happening.tag, happening.error);
      case 'flush':
        return this.#flush(happening.error);
      case 'read':
        return this.#read(happening.found, happening.errors);
      case 'wrong sql':
        return this.#wrongSql(happening.error);
      case 'lose connection':
        return this.#loseConnection(happening.error);
      case 'begin':
        return this.#begin(happening.error);
      case 'commit':
        return this.#commit(happening.error);
      case 'rollback':
        return this.#rollback(happening.error);
      case 'transactional entered':
        this.#levels.push({
          pending: [...this.#top.pending],
          handedOver: [],
          isQueued: this.#top.pending.length > 0,
          transaction: newTransaction(),
        });
        return;
      case 'transactional left':
        this.#left = happening.how;
        return;
      case 'transactional reported':
        return this.#reportTransactional(happening.error, happening.isEntered);
    }
  }

  get #top(): Level {
    return this.#levels.at(-1)!;
  }

  get #transaction(): Transaction | undefined {
    return this.#top.transaction ?? this.#levels.findLast(({ transaction }) => transaction !== undefined)?.transaction;
  }

  /** What must become of statements now, but for the wait for a connection. */
  get #statement(): 'works' | 'fails' | 'either' {
    switch (this.#transaction?.isAborted) {
      case 'yes':
        return 'fails';
      case 'maybe':
        return 'either';
      default:
        return 'works';
    }
  }

  get #flushing(): 'works' | 'fails' | 'either' {
    const { pending } = this.#top;
    if (pending.length === 0) {
      return 'works';
    }
    const isBad = pending.some(({ quality }) => quality === 'incomplete' || quality === 'taken');
    const isTooLate = this.#transaction === undefined && hasLate(pending);
    return isBad || isTooLate ? 'fails' : this.#statement;
  }

  #expect(what: string, expected: 'works' | 'fails' | 'either', error: string | undefined): void {
    if (error === DEADLOCK) {
      if (this.#transaction !== undefined) {
        this.#complain(`${what} waited for a connection although its transaction has one`);
      } else if (!this.surroundings.mayBeStuck()) {
        this.#complain(`${what} failed with a deadlock that was none`);
      }
    } else if (expected === 'works' && error !== undefined) {
      this.#complain(`${what} failed with ${error}, without a reason`);
    } else if (expected === 'fails') {
      this.#expectFailure(what, error);
    }
  }

  #expectFailure(what: string, error: string | undefined): void {
    if (error === undefined) {
      this.#complain(`${what} was reported to have worked, which it cannot have`);
    }
  }

  #write(rows: readonly Row[]): void {
    const transaction = this.#transaction;
    if (transaction !== undefined) {
      transaction.rows.push(...rows);
      return;
    }
    for (const { tag } of rows) {
      this.surroundings.committed.add(tag);
      this.#written.add(tag);
    }
  }

  #insert(tag: string, error: string | undefined): void {
    this.#expect('insert', this.#statement, error);
    if (error === undefined) {
      this.#write([{ tag, quality: 'good' }]);
    }
  }

  #flush(error: string | undefined): void {
    this.#expect('flush', this.#flushing, error);
    this.#endFlush(error);
  }

  #endFlush(error: string | undefined): void {
    const { pending } = this.#top;
    const transaction = this.#transaction;
    if (error === undefined) {
      this.#forgetPending();
      this.#write(giveKeys(pending));
      return;
    }
    this.#failFlush();
    if (transaction !== undefined) {
      transaction.isDoomed = true;
      transaction.isAborted = transaction.isAborted === 'yes' ? 'yes' : 'maybe';
    }
  }

  #failFlush(): void {
    const { pending } = this.#top;
    this.#forgetPending();
    this.#top.pending = pending.filter(({ hasKey }) => hasKey);
  }

  #forgetPending(): void {
    this.#top.pending = [];
    this.#top.handedOver = [];
    this.#top.isQueued = false;
  }

  #read(found: readonly (readonly string[])[], errors: readonly string[]): void {
    const [error] = errors;
    const mayFlush = this.#top.isQueued;
    const flushing = mayFlush ? this.#flushing : 'works';
    if (error === DEADLOCK && mayFlush) {
      // Was it the flush that could not be had, or the read after it?
      this.#top.pending.forEach(({ tag }) => this.surroundings.unknown.add(tag));
      this.#failFlush();
    }
    for (const each of errors.length === 0 ? [undefined] : errors) {
      this.#expect('read', flushing === 'works' ? this.#statement : flushing, each);
    }
    if (mayFlush && error !== DEADLOCK) {
      this.#endFlush(flushing === 'fails' ? error : undefined);
    }
    const visible = this.#visible();
    for (const tags of found) {
      const seen = tags.filter((tag) => !this.surroundings.unknown.has(tag)).toSorted();
      if (seen.join() !== visible.join()) {
        this.#complain(`read found [${seen.join()}] where [${visible.join()}] was written`);
      }
    }
  }

  /** The rows of this session that it must see itself. */
  #visible(): string[] {
    const open = this.#levels.flatMap(({ transaction }) => transaction?.rows ?? []).map(({ tag }) => tag);
    return [...this.#written, ...open].toSorted();
  }

  #wrongSql(error: string | undefined): void {
    this.#expect('wrong sql', 'fails', error);
    const transaction = this.#transaction;
    if (transaction !== undefined) {
      transaction.isAborted = 'yes';
    }
  }

  #loseConnection(error: string | undefined): void {
    this.#expectFailure('a statement on a lost connection', error);
    const before = this.#statement;
    for (const { transaction } of this.#levels) {
      if (transaction !== undefined && before !== 'fails') {
        transaction.isLost = true;
        transaction.isAborted = before === 'works' || transaction.isAborted === 'yes' ? 'yes' : 'maybe';
      }
    }
    if (this.#transaction !== undefined) {
      this.#transaction.isAborted = 'yes';
    }
  }

  #begin(error: string | undefined): void {
    if (this.#transaction !== undefined) {
      this.#expectStateError('begin', error);
      return;
    }
    this.#expect('begin', 'works', error);
    if (error === undefined) {
      this.#top.transaction = newTransaction();
    }
  }

  #commit(error: string | undefined): void {
    if (this.#mayNotEnd(error, 'commit')) {
      return;
    }
    const { pending, transaction } = this.#top;
    this.#expect('commit', this.#committing, error);
    if (transaction === undefined) {
      return;
    }
    if (error !== undefined) {
      if (!transaction.isDoomed) {
        this.#failFlush();
      }
      transaction.isDoomed = true;
      transaction.isAborted = 'maybe';
      return;
    }
    this.#top.transaction = undefined;
    this.#forgetPending();
    this.#write([...transaction.rows, ...pending]);
  }

  /** What must become of the commit of the innermost transaction, whose flush comes first. */
  get #committing(): 'works' | 'fails' | 'either' {
    const { transaction, pending } = this.#top;
    if (transaction === undefined || transaction.isDoomed || transaction.isAborted === 'yes') {
      return 'fails';
    }
    const isOutermost = !this.#levels.slice(0, -1).some((level) => level.transaction !== undefined);
    const isTooLate = isOutermost && hasLate([...transaction.rows, ...pending]);
    if (this.#flushing === 'fails' || isTooLate) {
      return 'fails';
    }
    return transaction.isAborted === 'maybe' ? 'either' : 'works';
  }

  #rollback(error: string | undefined): void {
    if (this.#mayNotEnd(error, 'rollback')) {
      return;
    }
    const { transaction } = this.#top;
    if (transaction?.isLost !== true) {
      this.#expect('rollback', transaction === undefined ? 'fails' : 'works', error);
    }
    if (error === undefined) {
      this.#top.transaction = undefined;
      this.#top.isQueued = false;
      this.#top.pending.push(...this.#top.handedOver);
      this.#top.handedOver = [];
    }
  }

  /** What must become of the rollback of what a session left open. */
  get #ending(): 'works' | 'either' {
    return this.#top.transaction?.isLost === true ? 'either' : 'works';
  }

  /** Who did not begin a transaction may not end it. */
  #mayNotEnd(error: string | undefined, what: string): boolean {
    const isOwned = this.#levels.length > 1 || this.isManaged;
    if (isOwned) {
      this.#expectStateError(what, error);
    }
    return isOwned;
  }

  #expectStateError(what: string, error: string | undefined): void {
    if (error !== 'SessionStateError') {
      this.#complain(
        `${what} was ${error === undefined ? 'accepted' : `refused with ${error}`} where it may not be called`,
      );
    }
  }

  #reportTransactional(error: string | undefined, isEntered: boolean): void {
    if (!isEntered) {
      this.#expect('transactional', this.#statement, error);
      return;
    }
    if (this.#left === 'threw') {
      this.#expectFailure('transactional', error);
    } else {
      this.#expect('transactional', this.#committing, error);
    }
    if (this.#left === 'returned' && this.#flushing === 'works') {
      giveKeys(this.#top.pending);
    }
    const { pending, transaction } = this.#levels.pop()!;
    if (error === undefined) {
      this.#top.handedOver.push(...this.#top.pending);
      this.#top.pending = [];
      this.#write([...(transaction?.rows ?? []), ...pending]);
    }
  }

  #report(error: string | undefined): void {
    switch (this.#how) {
      case 'never entered':
        this.#expect('the whole', error === 'AbortError' ? 'fails' : 'works', error);
        break;
      case 'threw':
        this.#expectFailure('the whole', error);
        break;
      case 'returned':
        this.#expect('the whole', this.isManaged ? this.#committing : this.#ending, error);
    }
    const { pending, transaction } = this.#top;
    this.isOver = true;
    if (this.kind !== 'request') {
      // That of a request is open until its response is closed.
      this.#top.transaction = undefined;
    }
    if (this.isManaged && this.#how === 'returned' && error === undefined) {
      this.#write([...(transaction?.rows ?? []), ...pending]);
    }
  }

  #complain(what: string): void {
    this.surroundings.complain(what);
  }
}

function giveKeys(rows: readonly Row[]): readonly Row[] {
  for (const row of rows) {
    row.hasKey = true;
  }
  return rows;
}

function hasLate(rows: readonly Row[]): boolean {
  return rows.some(({ quality }) => quality === 'late');
}
