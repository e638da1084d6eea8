/** How a transaction ended for its callbacks: `unknown` where the connection was lost during the commit. */
export type End = 'commit' | 'rollback' | 'unknown';

/** What becomes of a registration of both callbacks: which of them runs, `neither`, or what nothing is promised about. */
export type Call = 'commit' | 'rollback' | 'neither' | 'unclear';

/** Knows which callbacks of one session wait for which transaction, and which of each pair must have been called. */
export class WaitingCallbacks {
  readonly calls = new Map<string, Call>();
  /** Of the session, and of each `transactional()` call in it. */
  readonly #levels: string[][] = [[]];

  register(name: string, isEnded: boolean): void {
    this.calls.set(name, isEnded ? 'unclear' : 'neither');
    if (!isEnded) {
      this.#levels.at(-1)!.push(name);
    }
  }

  enter(): void {
    this.#levels.push([]);
  }

  /** Leaves a call in an open transaction: a savepoint. */
  leave(end: 'commit' | 'rollback'): void {
    const names = this.#levels.pop() ?? [];
    if (end === 'rollback') {
      this.#call(names, end);
    } else {
      this.#levels.at(-1)!.push(...names);
    }
  }

  /** Leaves the call that began the transaction. */
  leaveOutermost(end: End): void {
    this.leave('commit');
    this.settle(end);
  }

  /** Ends the transaction of the session. */
  settle(end: End): void {
    this.#call(this.#levels.at(-1)!.splice(0), end);
  }

  /** Nothing is known of those that wait now. */
  giveUp(): void {
    const names = this.#levels.at(-1)!.splice(0);
    names.forEach((name) => this.calls.set(name, 'unclear'));
  }

  #call(names: readonly string[], end: End): void {
    names.forEach((name) => this.calls.set(name, end === 'unknown' ? 'neither' : end));
  }
}
