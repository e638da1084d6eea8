/** Measures since when a connection owes an answer. */
export class Silence {
  #owed = 0;
  #since = 0;
  #count = 0;

  ask(): void {
    if (this.#owed === 0) {
      this.#since = performance.now();
    }
    this.#owed += 1;
  }

  answer(): void {
    this.#owed -= 1;
    this.#since = performance.now();
    this.#count += 1;
  }

  /** Milliseconds since the last sign of the server, while it owes an answer. 0 when it owes none. */
  get milliseconds(): number {
    return this.#owed === 0 ? 0 : performance.now() - this.#since;
  }

  /** The time of the question or of the last sign of the server, by the clock of `performance`. */
  get since(): number {
    return this.#since;
  }

  /** Milliseconds since the last answer. 0 while an answer is owed. */
  get pause(): number {
    return this.#owed === 0 && this.#count > 0 ? performance.now() - this.#since : 0;
  }

  /** A number that changes with each answer. */
  get count(): number {
    return this.#count;
  }
}
