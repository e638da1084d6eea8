import { Readable } from 'node:stream';
import { inspect, types } from 'node:util';

import { Logger } from '@nestjs/common';

import { settleWithin } from '../attempt/settle-within.js';

/** How long a source may take to close. Then nobody waits for it any more. */
const PATIENCE_MS = 2_000;

/** How long, while it owes an input. A generator cannot be closed before it has yielded that, which may be never. */
const PATIENCE_WITH_PENDING_MS = 100;

/** Consecutive inputs that run together. */
export interface Chunk<Input> {
  /** The place of the first one in the inputs. */
  readonly index: number;
  readonly inputs: readonly Input[];
}

/** Reads inputs when they are asked for, numbers them, and closes what it reads from when it is left early. */
export class InputSource<Input> {
  /** How many there are, where the inputs tell it beforehand. */
  readonly size: number | undefined;
  /** True when nobody knows whether the inputs end: an input may never come, or always another one. */
  readonly mayNotEnd: boolean;
  readonly #isAsync: boolean;
  readonly #inputs: unknown;
  readonly #iterator: Iterator<Input> | AsyncIterator<Input>;
  readonly #chunkSize: number;
  /** Who waits for a chunk. An asynchronous iterator is asked for one input at a time. */
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

  /** What the iterator threw, after which there are no more inputs. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  /** True when every input has been read, or the iterator has thrown. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Returns the next inputs, or nothing when there are no more. Never throws: see `failure`. */
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

  /** Gives no more inputs, also to those who wait for one. */
  stop(): void {
    this.#isStopped = true;
    const turns = this.#turns;
    this.#turns = [];
    turns.forEach((turn) => turn.resolve(undefined));
  }

  /**
   * Tells the iterator that no more is asked of it, unless it has come to its end by itself, and waits for that. It does
   * not wait for ever: what the iterator throws later is lost, as nobody is left to be told.
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
      // Those that waited when it was stopped have their answer.
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
        // What comes too late is not wanted any more, nor is an error.
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

function isAsyncIterable<Input>(inputs: Iterable<Input> | AsyncIterable<Input>): inputs is AsyncIterable<Input> {
  // A text is no object.
  return Symbol.asyncIterator in Object(inputs);
}

function openIterator<Input>(inputs: Iterable<Input> | AsyncIterable<Input>): Iterator<Input> | AsyncIterator<Input> {
  return isAsyncIterable(inputs) ? inputs[Symbol.asyncIterator]() : inputs[Symbol.iterator]();
}

/** Knows only what cannot mean anything else: a `size` may be that of a page. */
function getSize(inputs: unknown): number | undefined {
  if (Array.isArray(inputs) || types.isTypedArray(inputs)) {
    return inputs.length;
  }
  return inputs instanceof Set || inputs instanceof Map ? inputs.size : undefined;
}

/** @throws {TypeError} for what cannot be iterated */
export function assertIterable(inputs: unknown): void {
  const candidate = Object(inputs) as object;
  if (inputs === null || inputs === undefined || !(Symbol.iterator in candidate || Symbol.asyncIterator in candidate)) {
    throw new TypeError(
      `Expected \`inputs\` to be an iterable or an async iterable, got \`${inspect(inputs)}\` (${typeof inputs}).`,
    );
  }
}
