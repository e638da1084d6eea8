import { InputSource, type Chunk } from './input-source.js';
import type { JobOptions } from '../job-options.js';
import type { JobOutcome } from '../job-outcome.js';
import { type ChunkRunner, JobChunks } from './job-chunks.js';
import { type OutcomeOrder, OutcomeWindow } from './outcome-window.js';
import { ProgressMeter } from './progress-meter.js';
import type { RunWatch } from './run-watch.js';
import { Retry } from '../attempt/retry.js';
import type { RunSignals } from './run-signals.js';
import { untilAborted } from '../attempt/until-aborted.js';

/** One lane is enough to reject inputs that never begin. */
const ONE_LANE = 1;

export interface JobRunOptions<Input, Result> extends Pick<
  JobOptions,
  'onProgress' | 'progressInterval' | 'retry' | 'stopOnError' | 'total'
> {
  readonly inputs: Iterable<Input> | AsyncIterable<Input>;
  readonly runner: ChunkRunner<Input, Result>;
  readonly chunkSize: number;
  readonly label: string;
  readonly signals: RunSignals;
  /** Observes the run. */
  readonly watch: RunWatch | undefined;
  /** Called with a promise that resolves when all jobs have ended. */
  readonly track: (jobs: Promise<void>) => void;
}

export interface StreamOptions {
  /** The largest number of inputs that are held at once. @default two chunks for each lane */
  readonly window: number | undefined;
  readonly order: OutcomeOrder;
}

/** Runs inputs through a fixed number of lanes. Each lane takes the next input when it is free. */
export class JobRun<Input, Result> {
  readonly #options: JobRunOptions<Input, Result>;
  readonly #inputs: InputSource<Input>;
  readonly #retry: Retry;
  #window: OutcomeWindow<JobOutcome<Input, Result>> | undefined;
  #broken: { readonly error: unknown } | undefined;

  constructor(options: JobRunOptions<Input, Result>) {
    this.#options = options;
    this.#inputs = new InputSource(options.inputs, options.chunkSize);
    this.#retry = new Retry(options.retry);
  }

  /**
   * Returns an outcome for every input, also for those whose job never began. Inputs that may never end are not read
   * any further when the jobs are aborted or stopped.
   *
   * @throws the reason of the signal when it aborts before their end
   */
  async settle(): Promise<JobOutcome<Input, Result>[]> {
    using _following = this.#options.signals.follow();
    const lanes = await this.#open();
    const outcomes: JobOutcome<Input, Result>[] = [];
    using _stopping = this.#inputs.mayNotEnd ? this.#stopOnAbort() : undefined;
    await this.#run(lanes, (outcome) => {
      outcomes[outcome.index] = outcome;
    });
    return outcomes;
  }

  /**
   * Returns the outcomes while the jobs run. When the reader leaves, waits for the running jobs and closes the inputs.
   */
  stream(options: StreamOptions): AsyncGenerator<JobOutcome<Input, Result>, void, undefined> {
    const outcomes = this.#stream(options);
    const leave = outcomes.return.bind(outcomes);
    // A generator ends only after the pending read, and that may wait for an input that never comes.
    outcomes.return = (value) => {
      this.#stop();
      return leave(value);
    };
    return outcomes;
  }

  async *#stream({ window, order }: StreamOptions): AsyncGenerator<JobOutcome<Input, Result>, void, undefined> {
    using _following = this.#options.signals.follow();
    const lanes = await this.#open();
    const outcomes = new OutcomeWindow<JobOutcome<Input, Result>>(window ?? 2 * lanes * this.#options.chunkSize, order);
    this.#window = outcomes;
    using _stopping = this.#stopOnAbort();
    const run = this.#run(lanes, (outcome) => outcomes.put(outcome)).finally(() => outcomes.end());
    // The run is awaited below, but it may fail before that.
    run.catch(() => undefined);
    try {
      for (let outcome = await outcomes.take(); outcome !== undefined; outcome = await outcomes.take()) {
        yield outcome;
      }
    } finally {
      this.#stop();
      await run;
    }
  }

  /** Gets ready. An error is retried like that of a job. */
  async #open(): Promise<number> {
    const { signals } = this.#options;
    try {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await this.#openOnce();
        } catch (error) {
          if (!(await this.#retry.again(error, attempt, signals.abortSignal))) {
            throw error;
          }
        }
      }
    } catch (error) {
      if (signals.abortSignal.aborted) {
        return ONE_LANE;
      }
      // The first error counts.
      await this.#inputs.close().catch(() => undefined);
      throw error;
    }
  }

  /** If the signal aborts in the meantime, each job is rejected as aborted. */
  async #openOnce(): Promise<number> {
    const { runner, signals } = this.#options;
    const opening = runner.open(this.#inputs.size);
    const lanes = await untilAborted(opening, signals.abortSignal);
    if (lanes === undefined) {
      opening.then(
        () => runner.close(),
        () => undefined,
      );
    }
    return lanes ?? ONE_LANE;
  }

  /** Resolves when every job has ended and the inputs are closed. */
  async #run(lanes: number, put: (outcome: JobOutcome<Input, Result>) => void): Promise<void> {
    const { signals, runner, stopOnError, watch, label } = this.#options;
    const meter = this.#createMeter();
    const follower = watch?.follow?.({ label, total: this.#total, lanes });
    const chunks = new JobChunks({
      runner,
      retry: this.#retry,
      signals,
      put: (outcome) => {
        put(outcome);
        meter?.count(outcome);
        follower?.ended(outcome);
        if (stopOnError === true && outcome.status === 'rejected' && outcome.attempts > 0) {
          this.#stopAt(outcome.index);
        }
      },
    });
    const jobs = Promise.allSettled(Array.from({ length: lanes }, () => this.#lane(chunks))).then(() => undefined);
    this.#options.track(jobs);
    await jobs;
    runner.close();
    meter?.end();
    follower?.over();
    const [closed] = await Promise.allSettled([this.#inputs.close()]);
    const failure = this.#broken ?? this.#inputs.failure;
    if (failure !== undefined) {
      throw failure.error;
    }
    this.#assertReadToEnd();
    if (closed.status === 'rejected') {
      throw closed.reason;
    }
  }

  async #lane(chunks: JobChunks<Input, Result>): Promise<void> {
    try {
      for (let chunk = await this.#next(); chunk !== undefined; chunk = await this.#next()) {
        await chunks.run(chunk);
      }
    } catch (error) {
      this.#break(error);
    }
  }

  async #next(): Promise<Chunk<Input> | undefined> {
    const { chunkSize } = this.#options;
    await this.#window?.enter(chunkSize);
    const chunk = await this.#inputs.read();
    this.#window?.leave(chunkSize - (chunk?.inputs.length ?? 0));
    return chunk;
  }

  /** The number of inputs, where it is known. */
  get #total(): number | undefined {
    return this.#options.total ?? this.#inputs.size;
  }

  #createMeter(): ProgressMeter | undefined {
    const { onProgress } = this.#options;
    return onProgress && new ProgressMeter(onProgress, this.#options, this.#total, (error) => this.#break(error));
  }

  /** Starts no further job. When the running jobs have ended, the run fails with this error of a callback. */
  #break(error: unknown): void {
    this.#broken ??= { error };
    this.#stop();
  }

  /** Reads no more inputs once the jobs are aborted. */
  #stopOnAbort(): Disposable {
    const { abortSignal } = this.#options.signals;
    const stop = (): void => this.#stop();
    abortSignal.addEventListener('abort', stop);
    if (abortSignal.aborted) {
      stop();
    }
    return { [Symbol.dispose]: () => abortSignal.removeEventListener('abort', stop) };
  }

  /** @throws the reason of the signal that ended the reading of the inputs */
  #assertReadToEnd(): void {
    const { abortSignal } = this.#options.signals;
    if (abortSignal.aborted && !this.#inputs.isOver) {
      throw abortSignal.reason;
    }
  }

  /** Lets the running jobs end, and reads no more inputs. */
  #stop(): void {
    this.#inputs.stop();
    this.#window?.open();
  }

  /**
   * With `stopOnError`, starts no further job. Inputs that may never end are not read any further: only the inputs read
   * so far have outcomes.
   */
  #stopAt(index: number): void {
    const { signals, label } = this.#options;
    signals.stop(
      new DOMException(`Not begun: the job ${index} of ${label} had failed, and stopOnError is set`, 'AbortError'),
    );
    if (this.#window !== undefined || this.#inputs.mayNotEnd) {
      this.#stop();
    }
  }
}
