import { AsyncLocalStorage } from 'node:async_hooks';

import { EMPTY, Observable } from 'rxjs';

import type { MessageScope } from '../messages/message-scope.js';

/** Passes the values of a handler's stream to one reader. Completes only after the end of the scope. */
export class AnswerStream {
  readonly #source: Observable<unknown>;
  readonly #scope: MessageScope;
  readonly #enter = AsyncLocalStorage.snapshot();
  readonly #finished = Promise.withResolvers<void>();

  /** Call this in the scope in which the stream must be subscribed to. */
  constructor(source: Observable<unknown>, scope: MessageScope) {
    this.#source = source;
    this.#scope = scope;
  }

  /** Settles as the stream does. Also resolves when the reader unsubscribes. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /** @param end settles when the scope has ended, with the values to add at the end: EMPTY, or a failure */
  endWith(end: () => Promise<Observable<unknown>>): Observable<unknown> {
    const { resolve, reject } = this.#finished;
    return new Observable((subscriber) => {
      const held: unknown[] = [];
      let isFinished = false;
      const release = (): void => held.splice(0).forEach((value) => subscriber.next(value));
      const finish = (settle: () => void): void => {
        isFinished = true;
        settle();
        end().then(
          (rest) => {
            if (rest === EMPTY) {
              release();
            }
            rest.subscribe(subscriber);
          },
          (error: unknown) => {
            release();
            subscriber.error(error);
          },
        );
      };
      const subscription = this.#enter(() =>
        this.#source.subscribe({
          next: (value) => {
            if (held.push(value) === 1) {
              // The result of a promise comes directly before the end. It is passed on when the session is closed.
              queueMicrotask(() => void ((isFinished && this.#scope.isIdle) || release()));
            }
          },
          error: (error: unknown) => finish(() => reject(error)),
          complete: () => finish(resolve),
        }),
      );
      return () => {
        subscription.unsubscribe();
        if (!isFinished) {
          this.#scope.abandon();
          resolve();
        }
      };
    });
  }
}
