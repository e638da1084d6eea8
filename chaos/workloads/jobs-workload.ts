import { setTimeout as wait } from 'node:timers/promises';

import type { JobOptions } from 'nestjs-mikro-session';

import { type Deed, deeds, mark, MarkChunkWorker, type MarkInput, MarkWorker } from '../application/mark.workers.js';
import type { ChaosApp } from '../application/start-app.js';
import type { Ledger } from '../ledger.js';
import type { Random } from '../random.js';
import type { Tally } from '../tally.js';
import { HangError, within } from '../within.js';

/** What a run may take in all, its abort after at most half of that included. */
const BOUND_MS = 40_000;
const LONGEST_RUN_MS = 8_000;
const LONGEST_JOB_MS = 800;

const WORKERS = [mark, mark, MarkWorker, MarkChunkWorker] as const;
const METHODS = ['settle', 'settle', 'map', 'stream', 'stream'] as const;
/** More that end well than not, or chunks would never be whole. */
const WELL: readonly [Deed, ...Deed[]] = ['write', 'write', 'write', 'flush', 'nested'];

export interface Workload {
  readonly app: ChaosApp;
  readonly ledger: Ledger;
  readonly tally: Tally;
  /** Begins the keys of all that is done. */
  readonly prefix: string;
  readonly random: Random;
  /** Aborts when the storm is over. What has begun is still waited for. */
  readonly signal: AbortSignal;
}

/** One call of JobService, as the seed has it. */
interface Run {
  readonly name: string;
  readonly method: (typeof METHODS)[number];
  readonly inputs: readonly MarkInput[];
  readonly isAsync: boolean;
  readonly worker: (typeof WORKERS)[number];
  readonly options: JobOptions;
  /** After how many outcomes a stream is left. */
  readonly leftAfter: number;
  readonly signal: AbortSignal;
}

/** Starts one run after the other until the storm is over. */
export async function runJobs(workload: Workload): Promise<void> {
  const { random, prefix, signal, tally } = workload;
  for (let number = 0; !signal.aborted; number += 1) {
    const abort = new AbortController();
    const own = random.fork(`run ${number}`);
    const run = planRun(own, `${prefix}.${number}`, abort.signal);
    const timer = setTimeout(() => abort.abort(), own.integer(50, LONGEST_RUN_MS));
    tally.counts.jobs += run.inputs.length;
    try {
      await within(BOUND_MS, describe(run), take(run, workload));
    } catch (error) {
      report(error, run, tally);
    } finally {
      clearTimeout(timer);
    }
  }
}

function planRun(random: Random, name: string, signal: AbortSignal): Run {
  const worker = random.pick(WORKERS);
  const size = random.integer(1, 16);
  const inputs = Array.from({ length: size }, (_, index) => ({
    key: `${name}.${index}`,
    deed: random.chance(0.6) ? random.pick(WELL) : random.pick(deeds),
  }));
  const options: JobOptions = {
    concurrency: random.integer(1, 6),
    chunkSize: random.pick([1, 1, 4, 10]),
    timeout: random.integer(150, LONGEST_JOB_MS),
    whenAborted: random.pick(['cancel', 'cancel', 'finish']),
    stopOnError: random.chance(0.15),
    ...(random.chance(0.5) && { retry: { limit: random.integer(1, 3), delay: 20 } }),
    ...(worker === MarkWorker && random.chance(0.1) && { threads: 1 }),
    signal,
  };
  return {
    name,
    method: random.pick(METHODS),
    inputs,
    isAsync: random.chance(0.4),
    worker,
    options,
    leftAfter: random.chance(0.3) ? random.integer(1, size) : Infinity,
    signal,
  };
}

async function take(run: Run, { app: { jobs }, ledger }: Workload): Promise<void> {
  const { inputs, worker, options, method } = run;
  inputs.forEach(({ key }) => ledger.tell(key, 'unheard'));
  const read = new Set<MarkInput>(run.isAsync ? [] : inputs);
  const given = run.isAsync ? slowly(inputs, (input) => read.add(input)) : inputs;
  switch (method) {
    case 'settle': {
      const outcomes = await jobs.settle(given, worker, options);
      outcomes.forEach((outcome) => ledger.tellOutcome(outcome.input.key, outcome));
      return;
    }
    case 'map': {
      const failures = await jobs.map(given, worker, options).then(() => new Map<string, unknown>(), toFailures);
      // A run that was stopped leaves what was on its way to it, or had come for a chunk that was not whole yet.
      const left = failures.size > 0 && run.isAsync ? [...read].slice(-(options.chunkSize ?? 1)) : [];
      for (const input of inputs) {
        if (left.includes(input) && !failures.has(input.key)) {
          continue;
        }
        // Asynchronous inputs are read no further once a job has failed that stops the run.
        const isRejected = failures.has(input.key) || !read.has(input);
        const reason = failures.get(input.key);
        ledger.tellOutcome(input.key, { status: isRejected ? 'rejected' : 'fulfilled', reason });
      }
      return;
    }
    case 'stream': {
      let taken = 0;
      for await (const outcome of jobs.stream(given, worker, options)) {
        ledger.tellOutcome(outcome.input.key, outcome);
        taken += 1;
        if (taken >= run.leftAfter) {
          return;
        }
      }
    }
  }
}

/** What `map` throws says of each job that failed; the others are committed. */
function toFailures(error: unknown): Map<string, unknown> {
  if (!(error instanceof AggregateError)) {
    throw error;
  }
  const failures = error.errors as readonly { readonly input: MarkInput; readonly cause: unknown }[];
  return new Map(failures.map(({ input, cause }) => [input.key, cause]));
}

async function* slowly(
  inputs: readonly MarkInput[],
  onRead: (input: MarkInput) => void,
): AsyncGenerator<MarkInput, void> {
  for (const input of inputs) {
    await wait(2);
    onRead(input);
    yield input;
  }
}

/** A run throws for no job. What it may throw is the reason of its signal, where the inputs have no end that it knows. */
function report(error: unknown, run: Run, tally: Tally): void {
  if (error instanceof HangError) {
    tally.find('hangs', error.message);
  } else if (!run.signal.aborted || error !== run.signal.reason) {
    tally.find('untrue', `${describe(run)} threw ${String(error)}`);
  }
}

function describe({ name, method, worker, inputs, isAsync, options }: Run): string {
  const { signal: _, ...shown } = options;
  const deeds = inputs.map(({ deed }) => deed).join(' ');
  return `${method} ${name} of ${worker.name}, ${isAsync ? 'async' : 'array'} [${deeds}] ${JSON.stringify(shown)}`;
}
