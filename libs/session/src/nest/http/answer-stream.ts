import { AsyncLocalStorage } from 'node:async_hooks';

import { EMPTY, Observable } from 'rxjs';

import type { MessageScope } from '../messages/message-scope.js';

/** Hands on what a handler's stream emits, to one reader. Its end waits for the end of the scope. */
export class AnswerStream {
  readonly #source: Observable<unknown>;
  readonly #scope: MessageScope;
  readonly #enter = AsyncLocalStorage.snapshot();
  readonly #finished = Promise.withResolvers<void>();

  /** Takes a stream in the scope that it is to be subscribed to in. */
  constructor(source: Observable<unknown>, scope: MessageScope) {
    this.#source = source;
    this.#scope = scope;
  }

  /** Settles as the stream does. Resolves, too, when nobody reads it any more. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /** @param end settles when the scope has ended, with what is to be said after the last value: EMPTY, or a failure */
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
              // The result of a promise comes right before the end, and is handed on when the session is closed.
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
