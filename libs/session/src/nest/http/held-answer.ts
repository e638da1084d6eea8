import { AsyncLocalStorage } from 'node:async_hooks';

import type { HttpTransaction } from './http-transaction.js';
import { AnswerHeaders } from './answer-headers.js';
import { type AnyResponse, watchResponse } from './watch-response.js';

const METHODS = ['writeHead', 'flushHeaders', 'write', 'end'] as const;

type Method = (typeof METHODS)[number];
type Writer = (...args: unknown[]) => unknown;
type Writable = Record<Method, Writer>;

interface Call {
  readonly write: Writer;
  readonly args: unknown[];
}

interface HeldAnswerOptions {
  readonly transaction: HttpTransaction;
  /** Called when the commit has failed, before another answer replaces this one. */
  readonly onDrop: () => void;
  readonly onFailure: (error: unknown) => void;
}

/** The held answer whose writer the running code belongs to: that of the handler, or that of the answer in its place. */
const writers = new AsyncLocalStorage<{ readonly answer: HeldAnswer; readonly isReplacing: boolean }>();

/** The number of bytes that are held before the writer is asked to wait, where the response names no limit. */
const HIGH_WATER_MARK = 16_384;

/**
 * Holds an answer that a handler writes by hand until the transaction of its request has ended. The first write starts
 * the commit. Then the answer is sent, or dropped when the commit failed.
 */
export class HeldAnswer {
  readonly #response: AnyResponse;
  readonly #options: HeldAnswerOptions;
  readonly #calls: Call[] = [];
  #state: 'ready' | 'held' | 'sent' = 'ready';
  #isEnded = false;
  #hasHead = false;
  #held = 0;

  private constructor(response: AnyResponse, options: HeldAnswerOptions) {
    this.#response = response;
    this.#options = options;
  }

  /** Replaces the methods of a response that write. */
  static watch(response: AnyResponse, options: HeldAnswerOptions): HeldAnswer {
    const held = new HeldAnswer(response, options);
    const writable = response as unknown as Writable;
    for (const method of METHODS) {
      const write = writable[method];
      writable[method] = (...args) =>
        held.#state === 'sent' || (held.#state === 'ready' && options.transaction.isOver)
          ? write.apply(response, args)
          : held.#hold(method, { write, args });
    }
    return held;
  }

  /** Runs the handler, whose writes belong to this answer. */
  writeBy<Result>(handler: () => Result): Result {
    return writers.run({ answer: this, isReplacing: false }, handler);
  }

  #hold(method: Method, call: Call): unknown {
    const [first] = call.args;
    if (this.#state === 'ready') {
      this.#begin(method === 'writeHead' ? (first as number) : this.#response.statusCode);
    }
    const isFirst = !this.#hasHead;
    this.#hasHead = true;
    switch (method) {
      case 'writeHead':
        if (!isFirst) {
          throw Object.assign(new Error('Cannot write headers after they are sent to the client'), {
            code: 'ERR_HTTP_HEADERS_SENT',
          });
        }
        this.#calls.push(call);
        return this.#response;
      case 'flushHeaders':
        this.#calls.push(call);
        return undefined;
      case 'write':
        this.#calls.push(call);
        this.#held += (first as string | Uint8Array).length;
        return !this.#isFull;
      case 'end':
        if (this.#isEnded) {
          drop(...call.args);
          return this.#response;
        }
        this.#isEnded = true;
        this.#calls.push(call);
        return this.#response;
    }
  }

  get #isFull(): boolean {
    return this.#held > (this.#response.writableHighWaterMark || HIGH_WATER_MARK);
  }

  #begin(status: number): void {
    this.#state = 'held';
    const response = this.#response;
    const { statusCode } = response;
    const headers = new AnswerHeaders(response);
    // Code that checks `headersSent` must not write another answer: this one has begun.
    Object.defineProperty(response, 'headersSent', { configurable: true, get: () => true });
    const { transaction, onFailure } = this.#options;
    transaction
      .answer(status)
      .then(
        () => {
          this.#letThrough();
          response.statusCode = statusCode;
          headers.restore();
          this.#send();
        },
        (error: unknown) => {
          this.#letThrough();
          this.#drop();
          throw error;
        },
      )
      .catch((error: unknown) => writers.run({ answer: this, isReplacing: true }, () => onFailure(error)));
  }

  #letThrough(): void {
    this.#state = 'sent';
    Reflect.deleteProperty(this.#response, 'headersSent');
  }

  #send(): void {
    let hasRoom = true;
    for (const { write, args } of this.#calls.splice(0)) {
      hasRoom = write.apply(this.#response, args) !== false;
    }
    if (this.#isFull && !this.#isEnded && hasRoom) {
      this.#response.emit('drain');
    }
  }

  /** Drops the held answer. Its writers can write nothing into the answer that replaces it. */
  #drop(): void {
    this.#calls.splice(0).forEach(({ args }) => drop(...args));
    this.#options.onDrop();
    const response = this.#response;
    const writable = response as unknown as Writable;
    const { write, end } = writable;
    writable.write = (...args) => (this.#mayWrite(this.#isEnded) ? write.apply(response, args) : drop(...args));
    writable.end = (...args) => {
      if (!this.#mayWrite(true)) {
        drop(...args);
        return response;
      }
      writable.end = (...late) => {
        drop(...late);
        return response;
      };
      // Over HTTP/2, the response writes with this method.
      writable.write = write;
      end.apply(response, args);
      writable.write = drop;
      return response;
    };
    this.#putOffDrain();
  }

  /** @param isFree whether code may that cannot be told to be the handler or the answer in its place */
  #mayWrite(isFree: boolean): boolean {
    const writer = writers.getStore();
    return writer?.answer === this ? writer.isReplacing : isFree;
  }

  /**
   * Lets the writers that wait for `drain` go on only after the other answer. They could write into it: the event comes
   * in the context of that answer.
   */
  #putOffDrain(): void {
    const waiting = this.#response.rawListeners('drain');
    this.#response.removeAllListeners('drain');
    watchResponse(this.#response, () =>
      waiting.splice(0).forEach((goOn) => void Reflect.apply(goOn, this.#response, [])),
    );
  }
}

/** Writes nothing, but calls the callback: the writer may wait for it. */
function drop(...args: unknown[]): boolean {
  const callback = args.at(-1);
  if (typeof callback === 'function') {
    process.nextTick(callback);
  }
  return true;
}
