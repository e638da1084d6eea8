/** What is counted, in the order of the table. */
export interface Counts {
  requests: number;
  backends: number;
  cancelled: number;
  restarts: number;
  killed: number;
  frozen: number;
  poisoned: number;
  delay: number;
  cut: number;
  halfClose: number;
  truncate: number;
  blackHole: number;
  jobs: number;
  durable: number;
  deadLetters: number;
  unknown: number;
  leakScopes: number;
  leakJobs: number;
  leakRequests: number;
  leakRequestsCut: number;
}

/** What must be 0 at the end. */
export interface Faults {
  lost: number;
  doubled: number;
  untrue: number;
  hangs: number;
  connections: number;
  handles: number;
  errors: number;
}

export type NetworkFault = 'delay' | 'cut' | 'halfClose' | 'truncate' | 'blackHole';

/** How many findings of a kind are shown in full: the first ones say most. */
const SHOWN = 6;

/** Counts what was done and what was found. */
export class Tally {
  readonly counts: Counts = {
    requests: 0,
    backends: 0,
    cancelled: 0,
    restarts: 0,
    killed: 0,
    frozen: 0,
    poisoned: 0,
    delay: 0,
    cut: 0,
    halfClose: 0,
    truncate: 0,
    blackHole: 0,
    jobs: 0,
    durable: 0,
    deadLetters: 0,
    unknown: 0,
    leakScopes: 0,
    leakJobs: 0,
    leakRequests: 0,
    leakRequestsCut: 0,
  };
  readonly faults: Faults = { lost: 0, doubled: 0, untrue: 0, hangs: 0, connections: 0, handles: 0, errors: 0 };
  /** Megabytes of the heap after a collection, by what was measured. */
  readonly growth = new Map<string, number>();
  readonly #say: (finding: string) => void;
  #found = 0;

  /** @param say is told of the first findings */
  constructor(say: (finding: string) => void) {
    this.#say = say;
  }

  get found(): number {
    return this.#found;
  }

  find(fault: keyof Faults, about: string): void {
    this.faults[fault] += 1;
    this.#found += 1;
    if (this.faults[fault] <= SHOWN) {
      this.#say(`${fault}: ${about}`);
    }
  }
}
