/**
 * The signals that the jobs of one attempt are given: each its own, made when it is first asked for, since most workers
 * never look. They end with the attempt, and so does all that listens to them.
 */
export class AttemptSignals {
  #controllers: AbortController[] | undefined;
  #aborted: { readonly reason: unknown } | undefined;

  /** Makes one more, for one job or for the scope. */
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
