import type { EndedScope, ScopePart } from './inspector-state.js';

/** The number of parts of a scope that are kept. */
const PARTS = 40;
/** Shorter waits, in milliseconds, are not noted. */
const SHORTEST_WAIT = 0.1;

/** The notes about a scope while it has a session. */
export class ScopeNotes {
  readonly parts: ScopePart[] = [];
  isCommitted: boolean | undefined;
  /** Set at the end of the scope. */
  ended: EndedScope | undefined;
  #waits = 0;
  #waitingSince = 0;
  #transactions = 0;
  #transactionSince = 0;

  /** @param openedAt a time of the monotonic clock */
  constructor(
    readonly openedAt: number,
    private readonly describe: (error: unknown) => string,
  ) {}

  failed(error: unknown): void {
    if (this.ended !== undefined) {
      this.ended.error = this.describe(error);
    }
  }

  get waitingSince(): number | undefined {
    return this.#waits > 0 ? this.#waitingSince : undefined;
  }

  asked(): void {
    this.#waits += 1;
    if (this.#waits === 1) {
      this.#waitingSince = performance.now();
    }
  }

  answered(): void {
    this.#waits -= 1;
    if (this.#waits === 0) {
      this.#add('waiting', this.#waitingSince, SHORTEST_WAIT);
    }
  }

  began(): void {
    this.#transactions += 1;
    if (this.#transactions === 1) {
      this.#transactionSince = performance.now();
    }
  }

  gaveBack(isCommitted: boolean): void {
    this.isCommitted = isCommitted;
    this.#transactions -= 1;
    if (this.#transactions === 0) {
      this.#add('transaction', this.#transactionSince, 0);
    }
  }

  #add(kind: ScopePart[0], since: number, shortest: number): void {
    const now = performance.now();
    if (now - since >= shortest && this.parts.length < PARTS && this.ended === undefined) {
      this.parts.push([kind, since - this.openedAt, now - this.openedAt]);
    }
  }
}
