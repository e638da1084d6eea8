import { randomUUID } from 'node:crypto';

import type { LiveScope } from '../../session/scope/live-scope.js';
import type { EndedScope, ScopeOutcome, ScopePart } from './inspector-state.js';

/** The number of parts of a scope that are kept. */
const PARTS = 40;
/** Shorter waits, in milliseconds, are not noted. */
const SHORTEST_WAIT = 0.1;

const WAITING = 0;
const TRANSACTION = 1;
/** The kinds of parts, by the number that stands for each in the notes. */
const PART_KINDS = ['waiting', 'transaction'] as const satisfies readonly ScopePart[0][];
const NUMBERS_PER_PART = 3;

/** What is known of a scope at its end. */
interface ScopeEnd {
  readonly key: number;
  readonly label: string;
  readonly outcome: ScopeOutcome;
}

/**
 * The notes about a scope. After its end, the ring of the last scopes keeps them. Each scope leaves few objects for it:
 * the garbage collector copies what is kept, which would cost more than the notes themselves.
 */
export class ScopeNotes {
  isCommitted: boolean | undefined;
  /** Zero until the end of the scope. */
  key = 0;
  #id: string | undefined;
  #kind = '';
  #label = '';
  #task: string | undefined;
  #parent: string | undefined;
  #outcome: ScopeOutcome = 'done';
  #error: string | undefined;
  #waits = 0;
  #transactions = 0;
  /** The opening and the duration, then the kind, the beginning and the end of each part: numbers alone. */
  readonly #times: number[];
  #waitingSince = 0;
  #transactionSince = 0;

  /** @param openedAt a time of the monotonic clock */
  constructor(
    openedAt: number,
    private readonly describe: (error: unknown) => string,
  ) {
    this.#times = [openedAt, 0];
  }

  /** The id of the scope. It is made when somebody asks for it. */
  get id(): string {
    return (this.#id ??= randomUUID());
  }

  get waitingSince(): number | undefined {
    return this.#waits > 0 ? this.#waitingSince : undefined;
  }

  failed(error: unknown): void {
    if (this.key > 0) {
      this.#error = this.describe(error);
    }
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
      this.#add(WAITING, this.#waitingSince, SHORTEST_WAIT);
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
      this.#add(TRANSACTION, this.#transactionSince, 0);
    }
  }

  /** Called at the end of the scope. */
  end(scope: LiveScope, { key, label, outcome }: ScopeEnd): void {
    const { kind, task, startedIn } = scope;
    this.#id ??= scope.knownId;
    this.#kind = kind;
    this.#label = label;
    this.#task = task === scope ? undefined : task?.label;
    this.#parent = startedIn === task ? undefined : startedIn?.label;
    this.#outcome = outcome;
    this.#times[1] = performance.now() - this.#openedAt;
    this.key = key;
  }

  /** The scope, which has ended. */
  get ended(): EndedScope {
    return {
      key: this.key,
      id: this.id,
      kind: this.#kind,
      label: this.#label,
      task: this.#task,
      parent: this.#parent,
      openedAt: performance.timeOrigin + this.#openedAt,
      duration: this.#times[1] ?? 0,
      parts: this.#parts,
      outcome: this.#outcome,
      ...(this.#error !== undefined && { error: this.#error }),
    };
  }

  get #openedAt(): number {
    return this.#times[0] ?? 0;
  }

  get #parts(): ScopePart[] {
    const parts: ScopePart[] = [];
    for (let place = 2; place < this.#times.length; place += NUMBERS_PER_PART) {
      const [kind = WAITING, from = 0, to = 0] = this.#times.slice(place, place + NUMBERS_PER_PART);
      parts.push([PART_KINDS[kind === WAITING ? WAITING : TRANSACTION], from, to]);
    }
    return parts;
  }

  #add(kind: number, since: number, shortest: number): void {
    const now = performance.now();
    if (now - since >= shortest && this.#times.length < 2 + PARTS * NUMBERS_PER_PART && this.key === 0) {
      this.#times.push(kind, since - this.#openedAt, now - this.#openedAt);
    }
  }
}
