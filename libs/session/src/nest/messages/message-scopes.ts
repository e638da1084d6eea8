import { EMPTY, isObservable, type Observable } from 'rxjs';

import { reportEndFailure } from '../../session/scope/report-end-failure.js';
import type { ScopeStorage } from '../../session/scope/scope-storage.js';
import type { TaskScopes } from '../../session/scope/task-scopes.js';
import { AnswerStream } from '../http/answer-stream.js';
import { MessageScope, type MessageScopeOptions } from './message-scope.js';

/** The answer to a client when the end of the session failed, in the words of NestJS. */
export const END_FAILURE = { status: 'error', message: 'Internal server error' };

/** Opens a scope for each message, and keeps it open until the answer is complete. */
export class MessageScopes {
  readonly #tasks: TaskScopes;
  readonly #storage: ScopeStorage;

  constructor(tasks: TaskScopes, storage: ScopeStorage) {
    this.#tasks = tasks;
    this.#storage = storage;
  }

  /** The scope of the message that the running code handles. */
  get current(): MessageScope | undefined {
    const task = this.#storage.current?.task;
    return task instanceof MessageScope ? task : undefined;
  }

  open(options: Omit<MessageScopeOptions, 'live'>): MessageScope {
    return new MessageScope({ ...options, live: this.#storage.live });
  }

  /**
   * Calls a handler in a scope, and ends the scope before the last part of the answer is passed on. An answer that is a
   * stream keeps the scope open until it completes, fails or is unsubscribed from.
   *
   * @param failure the answer when the end of the scope fails. The error itself is logged
   */
  answer(scope: MessageScope, handle: () => unknown, failure: Observable<unknown>): Promise<unknown> {
    const handedOn = Promise.withResolvers<unknown>();
    let isWorkDone = false;
    const ended = this.#tasks
      .runIn(scope, async () => {
        const result = await handle();
        if (!isObservable(result)) {
          isWorkDone = true;
          return result;
        }
        const stream = new AnswerStream(result, scope);
        handedOn.resolve(stream.endWith(() => ended as Promise<Observable<unknown>>));
        await stream.finished;
        await scope.untilIdle();
        isWorkDone = true;
        return EMPTY;
      })
      .catch((error: unknown) => {
        if (!isWorkDone) {
          throw error;
        }
        reportEndFailure(scope, error);
        return failure;
      });
    return Promise.race([handedOn.promise, ended]);
  }
}
