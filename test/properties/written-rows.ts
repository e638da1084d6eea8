import type { Quality } from './program.js';

interface Row {
  readonly tag: string;
  readonly quality: Quality;
}

/** An open transaction, or a savepoint in one. */
interface Transaction {
  readonly rows: Row[];
  /** What was there to write when it began: rolled back, it is pending again. */
  readonly before: readonly Row[];
  /** What was caught and yet forbids the commit. */
  isDoomed: boolean;
  /** Whether every statement but a rollback is refused. */
  isAborted: 'no' | 'maybe' | 'yes';
  /** Whether its connection may be gone, on which a rollback fails. */
  isLost: boolean;
  /** Whether the answer to its COMMIT will be lost. */
  isAnswerLost: boolean;
  /** Whether a statement has run in it, or in a savepoint: it has a connection since then. */
  hasConnection: boolean;
  /** Whether its first statement waited for a connection that it could not have. */
  isStuck: boolean;
  /** Whether its COMMIT failed, so that it is over, whatever is to be said of it. */
  isEnded: boolean;
}

/** What one EntityManager has to write: the session itself, or the fork of a `transactional()` call. */
interface Level {
  pending: Row[];
  /** Whether a read writes the pending rows first. */
  isQueued: boolean;
  transaction: Transaction | undefined;
}

export type Expected = 'works' | 'fails' | 'either';

/** Knows the rows of one session, from persist() to the commit, and so what its next statement must answer. */
export class WrittenRows {
  readonly committed: string[] = [];
  readonly #levels: Level[] = [{ pending: [], isQueued: false, transaction: undefined }];

  /** Whether the running code is in a `transactional()` call. */
  get isWithin(): boolean {
    return this.#levels.length > 1;
  }

  /** Whether the innermost transaction is the one that COMMIT ends, and the answer to that will be lost. */
  get isAnswerLost(): boolean {
    return this.isOutermost && this.#top.transaction?.isAnswerLost === true;
  }

  /** Whether nothing but the innermost transaction is open. */
  get isOutermost(): boolean {
    return this.#levels.slice(0, -1).every(({ transaction }) => transaction === undefined);
  }

  /** Whether a transaction is open in name only, as its COMMIT has failed. */
  get isEnded(): boolean {
    return this.#transaction?.isEnded === true;
  }

  get isInTransaction(): boolean {
    return this.#transaction !== undefined;
  }

  /** Whether the connection of the transaction may be gone. */
  get isLost(): boolean {
    return this.#transaction?.isLost === true;
  }

  /** Whether the transaction has a connection, for sure. */
  get hasConnection(): boolean {
    return this.#outermost?.hasConnection === true;
  }

  /** Whether the transaction could have no connection. */
  get isStuck(): boolean {
    return this.#outermost?.isStuck === true;
  }

  /** Whether a read writes something first. */
  get isQueued(): boolean {
    return this.#top.isQueued;
  }

  get pending(): string[] {
    return this.#top.pending.map(({ tag }) => tag);
  }

  /** The rows that the session itself must see. */
  get visible(): string[] {
    const open = this.#levels.flatMap(({ transaction }) => transaction?.rows ?? []).map(({ tag }) => tag);
    return [...this.committed, ...open].toSorted();
  }

  get statement(): Expected {
    switch (this.#transaction?.isAborted) {
      case 'yes':
        return 'fails';
      case 'maybe':
        return 'either';
      default:
        return 'works';
    }
  }

  get flushing(): Expected {
    const isTooLate = !this.isInTransaction && hasLate(this.#top.pending);
    return isTooLate ? 'fails' : this.#inserting;
  }

  /** The commit of the innermost transaction, after its flush. */
  get committing(): Expected {
    return this.isAnswerLost ? 'fails' : this.sendingCommit;
  }

  /** What the server makes of it, whether anybody hears of that or not. */
  get sendingCommit(): Expected {
    const { transaction, pending } = this.#top;
    if (transaction === undefined || transaction.isDoomed || transaction.isAborted === 'yes') {
      return 'fails';
    }
    if (this.flushing === 'fails' || (this.isOutermost && hasLate([...transaction.rows, ...pending]))) {
      return 'fails';
    }
    return transaction.isAborted === 'maybe' ? 'either' : 'works';
  }

  get rollingBack(): Expected {
    const { transaction } = this.#top;
    if (transaction === undefined) {
      return 'fails';
    }
    return transaction.isLost ? 'either' : 'works';
  }

  persist(tag: string, quality: Quality): void {
    this.#top.pending.push({ tag, quality });
    this.#top.isQueued = true;
  }

  insert(tag: string): void {
    this.#write([{ tag, quality: 'good' }]);
  }

  flush(): void {
    const { pending } = this.#top;
    this.#forget(pending);
    this.#write(pending);
  }

  failFlush(): void {
    const { pending } = this.#top;
    const transaction = this.#transaction;
    this.#forget(pending);
    if (transaction !== undefined) {
      transaction.isDoomed = true;
      transaction.isAborted = transaction.isAborted === 'yes' ? 'yes' : 'maybe';
    }
  }

  begin(): void {
    this.#top.transaction = newTransaction([...this.#top.pending]);
  }

  commit(): void {
    const { pending, transaction } = this.#top;
    this.#top.transaction = undefined;
    this.#forget(pending);
    this.#write([...(transaction?.rows ?? []), ...pending]);
  }

  failCommit(): void {
    const { transaction } = this.#top;
    if (transaction === undefined) {
      return;
    }
    if (!transaction.isDoomed) {
      this.failFlush();
    }
    transaction.isAborted = 'maybe';
    transaction.isEnded = true;
  }

  /** Commits what was written, and leaves a transaction that nothing more can be done with. Gives what may be there. */
  loseCommit(): readonly string[] {
    const { transaction, pending } = this.#top;
    this.#top.transaction = undefined;
    this.#forget(pending);
    const gone = this.#commitUnheard(transaction, pending);
    this.#top.transaction = {
      ...newTransaction([]),
      isDoomed: true,
      isAborted: 'yes',
      isLost: true,
      isEnded: true,
    };
    return gone;
  }

  rollback(): void {
    this.#top.pending = [...(this.#top.transaction?.before ?? [])];
    this.#top.transaction = undefined;
    this.#top.isQueued = this.#top.pending.length > 0;
  }

  enter(): void {
    const { pending } = this.#top;
    this.#levels.push({
      pending: [...pending],
      isQueued: pending.length > 0,
      transaction: newTransaction(pending),
    });
  }

  leave(): void {
    const { pending, transaction } = this.#pop();
    this.#top.pending = [];
    this.#write([...(transaction?.rows ?? []), ...pending]);
  }

  /** The same as leave(), where the answer to COMMIT was lost. Gives what may be there. */
  loseLeave(): readonly string[] {
    const { pending, transaction } = this.#pop();
    this.#top.pending = [];
    this.#top.isQueued = false;
    return this.#commitUnheard(transaction, pending);
  }

  failLeave(): void {
    this.#pop();
    this.#top.isQueued ||= this.#top.pending.length > 0;
  }

  abort(): void {
    if (this.#transaction !== undefined) {
      this.#transaction.isAborted = 'yes';
    }
  }

  /** A transaction whose statements fail anyway does not get so far as to lose its connection. */
  loseConnection(): void {
    const { statement } = this;
    for (const { transaction } of this.#levels) {
      if (transaction !== undefined && statement !== 'fails') {
        transaction.isLost = true;
        transaction.isAborted = statement === 'works' || transaction.isAborted === 'yes' ? 'yes' : 'maybe';
      }
    }
    this.abort();
  }

  /** The answer to the COMMIT of the open transaction is going to be lost. */
  loseAnswer(): void {
    if (this.#outermost !== undefined) {
      this.#outermost.isAnswerLost = true;
    }
  }

  /** A statement has run. */
  send(): void {
    if (this.#outermost !== undefined) {
      this.#outermost.hasConnection = true;
    }
  }

  /** The first statement could have no connection: nothing works in the transaction from then on. */
  getStuck(): void {
    if (this.#outermost !== undefined) {
      this.#outermost.isStuck = true;
    }
    for (const { transaction } of this.#levels) {
      if (transaction !== undefined) {
        transaction.isAborted = 'yes';
        transaction.isDoomed = true;
      }
    }
  }

  get #outermost(): Transaction | undefined {
    return this.#levels.find(({ transaction }) => transaction !== undefined)?.transaction;
  }

  get #top(): Level {
    return this.#levels.at(-1)!;
  }

  get #transaction(): Transaction | undefined {
    return this.#levels.findLast(({ transaction }) => transaction !== undefined)?.transaction;
  }

  get #inserting(): Expected {
    const { pending } = this.#top;
    if (pending.length === 0) {
      return 'works';
    }
    return pending.some(({ quality }) => quality === 'incomplete' || quality === 'taken') ? 'fails' : this.statement;
  }

  #commitUnheard(transaction: Transaction | undefined, pending: readonly Row[]): readonly string[] {
    const rows = [...(transaction?.rows ?? []), ...pending];
    const isRefused = transaction?.isAborted === 'yes' || transaction?.isDoomed === true || hasLate(rows);
    if (isRefused) {
      return [];
    }
    this.#write(rows);
    return transaction?.isAborted === 'maybe' ? rows.map(({ tag }) => tag) : [];
  }

  #pop(): Level {
    return this.#levels.pop()!;
  }

  #forget(rows: readonly Row[]): void {
    this.#top.pending = this.#top.pending.filter((row) => !rows.includes(row));
    this.#top.isQueued = false;
  }

  #write(rows: readonly Row[]): void {
    const transaction = this.#transaction;
    if (transaction === undefined) {
      this.committed.push(...rows.map(({ tag }) => tag));
    } else {
      transaction.rows.push(...rows);
    }
  }
}

function newTransaction(before: readonly Row[]): Transaction {
  return {
    rows: [],
    before,
    isDoomed: false,
    isAborted: 'no',
    isLost: false,
    isAnswerLost: false,
    hasConnection: false,
    isStuck: false,
    isEnded: false,
  };
}

function hasLate(rows: readonly Row[]): boolean {
  return rows.some(({ quality }) => quality === 'late');
}
