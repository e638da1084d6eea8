/**
 * The signals of the jobs of one attempt. Each job has its own, made on first use, because most workers never use it.
 * The signals, and all listeners on them, end with the attempt.
 */
export class AttemptSignals {
  #controllers: AbortController[] | undefined;
  #aborted: { readonly reason: unknown } | undefined;

  /** Makes a signal for one job, or for the scope. */
  create(): AbortSignal {
    if (this.#aborted !== undefined) {
      return AbortSignal.abort(this.#aborted.reason);
    }
    const controller = new AbortController();
    this.#controllers ??= [];
    this.#controllers.push(controller);
    return controller.signal;
  }

  abort(reason: unknown): void {
    if (this.#aborted === undefined) {
      this.#aborted = { reason };
      this.#controllers?.forEach((controller) => controller.abort(reason));
    }
  }
}
