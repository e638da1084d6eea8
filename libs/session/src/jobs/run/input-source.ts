import { Readable } from 'node:stream';
import { inspect, types } from 'node:util';

import { Logger } from '@nestjs/common';

import { isAsyncIterable } from '../../session/is-async-iterable.js';
import { settleWithin } from '../attempt/settle-within.js';

/** Milliseconds that the inputs may take to close. Nobody waits longer. */
const PATIENCE_MS = 2_000;

/** The same while a read is pending. A generator cannot close before that read has ended, which may be never. */
const PATIENCE_WITH_PENDING_MS = 100;

/** Consecutive inputs that run together. */
export interface Chunk<Input> {
  /** The position of the first one in the inputs. */
  readonly index: number;
  readonly inputs: readonly Input[];
}

/** Reads the inputs on demand, numbers them, and closes their iterator when they are not read to the end. */
export class InputSource<Input> {
  /** The number of inputs, where it is known in advance. */
  readonly size: number | undefined;
  /** True when the inputs may never end: an input may never come, or there may always be one more. */
  readonly mayNotEnd: boolean;
  readonly #isAsync: boolean;
  readonly #inputs: unknown;
  readonly #iterator: Iterator<Input> | AsyncIterator<Input>;
  readonly #chunkSize: number;
  /** The callers that wait for a chunk. An asynchronous iterator is asked for one input at a time. */
  #turns: PromiseWithResolvers<Chunk<Input> | undefined>[] = [];
  #count = 0;
  #isReading = false;
  #isStopped = false;
  #isOver = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(inputs: Iterable<Input> | AsyncIterable<Input>, chunkSize: number) {
    this.size = getSize(inputs);
    this.#chunkSize = chunkSize;
    this.#isAsync = isAsyncIterable(inputs);
    this.mayNotEnd = this.#isAsync || this.size === undefined;
    this.#inputs = inputs;
    this.#iterator = openIterator(inputs);
  }

  /** The error of the iterator. There are no more inputs after it. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  /** True when every input has been read, or the iterator has thrown. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Returns the next inputs, or undefined when there are no more. Never throws: see `failure`. */
  read(): Chunk<Input> | undefined | Promise<Chunk<Input> | undefined> {
    if (this.#isOver || this.#isStopped) {
      return undefined;
    }
    if (!this.#isAsync) {
      return this.#readSync(this.#iterator as Iterator<Input>);
    }
    const turn = Promise.withResolvers<Chunk<Input> | undefined>();
    this.#turns.push(turn);
    if (this.#turns.length === 1) {
      void this.#serve(this.#iterator as AsyncIterator<Input>);
    }
    return turn.promise;
  }

  /** Returns no more inputs, also to callers that wait for one. */
  stop(): void {
    this.#isStopped = true;
    const turns = this.#turns;
    this.#turns = [];
    turns.forEach((turn) => turn.resolve(undefined));
  }

  /**
   * Closes the iterator, unless it has ended by itself, and waits for that. Does not wait for ever: a later error of
   * the iterator is lost, because nobody waits for it.
   */
  async close(): Promise<void> {
    this.stop();
    if (this.#isOver) {
      return;
    }
    const isReading = this.#isReading;
    if (isReading && this.#inputs instanceof Readable) {
      // Its iterator would wait for data.
      this.#inputs.destroy();
    }
    const closing = Promise.resolve(this.#iterator.return?.());
    const isClosed = await settleWithin(closing, isReading ? PATIENCE_WITH_PENDING_MS : PATIENCE_MS);
    if (!isClosed && !isReading) {
      new Logger('Session').warn(
        `The inputs of jobs did not close within ${PATIENCE_MS} ms of their \`return()\`, and are left alone.`,
      );
    }
  }

  #readSync(iterator: Iterator<Input>): Chunk<Input> | undefined {
    const inputs: Input[] = [];
    try {
      while (inputs.length < this.#chunkSize && this.#take(iterator.next(), inputs)) {
        // The condition does the work.
      }
    } catch (error) {
      this.#fail(error);
    }
    return this.#toChunk(inputs);
  }

  async #serve(iterator: AsyncIterator<Input>): Promise<void> {
    for (let [turn] = this.#turns; turn !== undefined; [turn] = this.#turns) {
      const chunk = await this.#readAsync(iterator);
      // After stop(), the waiting callers have their answer already.
      if (!this.#isStopped) {
        this.#turns.shift();
        turn.resolve(chunk);
      }
    }
  }

  async #readAsync(iterator: AsyncIterator<Input>): Promise<Chunk<Input> | undefined> {
    const inputs: Input[] = [];
    try {
      while (!this.#isOver && !this.#isStopped && inputs.length < this.#chunkSize) {
        this.#isReading = true;
        const result = await iterator.next();
        this.#isReading = false;
        // After stop(), a late input or error is dropped.
        if (!this.#isStopped) {
          this.#take(result, inputs);
        }
      }
    } catch (error) {
      this.#isReading = false;
      if (!this.#isStopped) {
        this.#fail(error);
      }
    }
    return this.#toChunk(inputs);
  }

  #take({ done, value }: IteratorResult<Input, unknown>, inputs: Input[]): boolean {
    if (done === true) {
      this.#isOver = true;
      return false;
    }
    inputs.push(value);
    return true;
  }

  #fail(error: unknown): void {
    this.#isOver = true;
    this.#failure = { error };
  }

  #toChunk(inputs: readonly Input[]): Chunk<Input> | undefined {
    const index = this.#count;
    this.#count += inputs.length;
    return inputs.length === 0 ? undefined : { index, inputs };
  }
}

function openIterator<Input>(inputs: Iterable<Input> | AsyncIterable<Input>): Iterator<Input> | AsyncIterator<Input> {
  return isAsyncIterable(inputs) ? inputs[Symbol.asyncIterator]() : inputs[Symbol.iterator]();
}

/**
 * Returns the size only of well-known classes: the `size` of another object may mean something else, such as a page
 * size.
 */
function getSize(inputs: unknown): number | undefined {
  if (Array.isArray(inputs) || types.isTypedArray(inputs)) {
    return inputs.length;
  }
  return inputs instanceof Set || inputs instanceof Map ? inputs.size : undefined;
}

/** @throws {TypeError} for what cannot be iterated */
export function assertIterable(inputs: unknown): void {
  const candidate = Object(inputs) as object;
  if (inputs === null || inputs === undefined || !(Symbol.iterator in candidate || isAsyncIterable(inputs))) {
    throw new TypeError(
      `Expected \`inputs\` to be an iterable or an async iterable, got \`${inspect(inputs)}\` (${typeof inputs}).`,
    );
  }
}
