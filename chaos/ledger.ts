/**
 * What the library said of a piece of work. `committed`: its row is there, once. `absent`: it is not. `unknown`: the
 * connection broke during the commit, and the error says so. `unheard`: nobody was left to hear how it ended.
 */
export type Told = 'committed' | 'absent' | 'unknown' | 'unheard';

/** What the rows say against the ledger. */
export interface Audit {
  readonly lost: readonly string[];
  readonly doubled: readonly string[];
  readonly untrue: readonly string[];
  readonly unknown: number;
}

const COMMIT_UNKNOWN = 'COMMIT_UNKNOWN';

/** Keeps what each key was told to be, and compares it with the rows once the storm is over. */
export class Ledger {
  readonly #told = new Map<string, Told>();
  readonly #open = new Set<string>();

  /** The keys whose work has begun and not settled. */
  get open(): ReadonlySet<string> {
    return this.#open;
  }

  told(key: string): Told | undefined {
    return this.#told.get(key);
  }

  /** Runs work that leaves a row of this key, and writes down how it ended. */
  async record<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    this.#open.add(key);
    try {
      const result = await work();
      this.tell(key, 'committed');
      return result;
    } catch (error) {
      this.tell(key, toldBy(error));
      throw error;
    } finally {
      this.#open.delete(key);
    }
  }

  tell(key: string, told: Told): void {
    this.#told.set(key, told);
  }

  /** Writes down a job of JobService. */
  tellOutcome(key: string, outcome: { readonly status: 'fulfilled' | 'rejected'; readonly reason?: unknown }): void {
    this.tell(key, outcome.status === 'fulfilled' ? 'committed' : toldBy(outcome.reason));
  }

  clear(): void {
    this.#told.clear();
    this.#open.clear();
  }

  /** @param rows how many rows there are of each key that has any */
  audit(rows: ReadonlyMap<string, number>): Audit {
    const lost: string[] = [];
    const untrue: string[] = [];
    let unknown = 0;
    for (const [key, told] of this.#told) {
      const count = rows.get(key) ?? 0;
      if (told === 'committed' && count === 0) {
        lost.push(key);
      }
      if (told === 'absent' && count > 0) {
        untrue.push(key);
      }
      unknown += told === 'unknown' ? 1 : 0;
    }
    const doubled = [...rows].filter(([, count]) => count > 1).map(([key]) => key);
    const unasked = [...rows.keys()].filter((key) => !this.#told.has(key));
    return { lost, doubled, untrue: [...untrue, ...unasked], unknown };
  }
}

/** What an error says of the row: the library names the one case in which nobody can know. */
function toldBy(error: unknown): Told {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && cause.code === COMMIT_UNKNOWN) {
      return 'unknown';
    }
  }
  return 'absent';
}
