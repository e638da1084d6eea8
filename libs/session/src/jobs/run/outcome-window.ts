/** The order in which a stream returns its outcomes. */
export type OutcomeOrder = 'input' | 'completion';

interface Waiter {
  readonly count: number;
  readonly enter: () => void;
}

/**
 * Buffers the outcomes between the lanes and the reader of a stream. It has a fixed number of places. An input takes a
 * place, and keeps it until the reader has taken its outcome.
 */
export class OutcomeWindow<Outcome extends { readonly index: number }> {
  readonly #places: number;
  readonly #order: OutcomeOrder;
  readonly #outcomes = new Map<number, Outcome>();
  readonly #waiting: Waiter[] = [];
  #held = 0;
  #arrived = 0;
  #taken = 0;
  #isOpen = false;
  #isEnded = false;
  #wakeTaker: (() => void) | undefined;

  constructor(places: number, order: OutcomeOrder) {
    this.#places = places;
    this.#order = order;
  }

  /** Takes places, or waits until there are as many. */
  enter(count: number): Promise<void> | undefined {
    if (this.#waiting.length === 0 && this.#hasRoomFor(count)) {
      this.#held += count;
      return undefined;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ count, enter: resolve });
    return promise;
  }

  /** Frees places. */
  leave(count: number): void {
    this.#held -= count;
    this.#admit();
  }

  put(outcome: Outcome): void {
    this.#outcomes.set(this.#order === 'input' ? outcome.index : this.#arrived, outcome);
    this.#arrived += 1;
    this.#wakeTaker?.();
  }

  /** Returns the next outcome, and frees its place for the next input. Returns undefined after the last one. */
  async take(): Promise<Outcome | undefined> {
    for (;;) {
      const outcome = this.#outcomes.get(this.#taken);
      if (outcome !== undefined) {
        this.#outcomes.delete(this.#taken);
        this.#taken += 1;
        this.leave(1);
        return outcome;
      }
      if (this.#isEnded) {
        return undefined;
      }
      await new Promise<void>((resolve) => (this.#wakeTaker = resolve));
    }
  }

  /** Lets all waiting callers in: there are no more inputs. */
  open(): void {
    this.#isOpen = true;
    this.#admit();
  }

  /** Tells the reader that no more outcomes will come. */
  end(): void {
    this.#isEnded = true;
    this.#wakeTaker?.();
  }

  #hasRoomFor(count: number): boolean {
    return this.#isOpen || this.#held + count <= this.#places;
  }

  #admit(): void {
    for (let [next] = this.#waiting; next !== undefined && this.#hasRoomFor(next.count); [next] = this.#waiting) {
      this.#waiting.shift();
      this.#held += next.count;
      next.enter();
    }
  }
}
