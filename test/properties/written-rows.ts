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
  /** Whether PostgreSQL refuses every statement but a rollback. */
  isAborted: 'no' | 'maybe' | 'yes';
  /** Whether its connection may be gone, on which a rollback fails. */
  isLost: boolean;
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

  get isInTransaction(): boolean {
    return this.#transaction !== undefined;
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
    const { transaction, pending } = this.#top;
    if (transaction === undefined || transaction.isDoomed || transaction.isAborted === 'yes') {
      return 'fails';
    }
    const isOutermost = !this.#levels.slice(0, -1).some((level) => level.transaction !== undefined);
    if (this.flushing === 'fails' || (isOutermost && hasLate([...transaction.rows, ...pending]))) {
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
  return { rows: [], before, isDoomed: false, isAborted: 'no', isLost: false };
}

function hasLate(rows: readonly Row[]): boolean {
  return rows.some(({ quality }) => quality === 'late');
}
