import { namePools } from '../../session/pool/name-pools.js';
import type { SessionSource } from '../../session/session-source.js';
import type { PoolSample, PoolView } from './inspector-state.js';

const INTERVAL_MS = 1_000;
/** The number of samples that are kept: five minutes. */
const SAMPLES = 300;

/** Samples the pools once a second, and keeps the samples for five minutes. */
export class PoolLog {
  readonly #samples = new Map<string, PoolSample[]>();
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly findSources: () => readonly SessionSource[]) {}

  start(): void {
    this.#timer = setInterval(() => this.#sample(), INTERVAL_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Describes the pools now, with the samples after a point in time. */
  look(after = 0): PoolView[] {
    return namePools(this.findSources()).map(({ name, facts: { max, size, idle, waiting } }) => ({
      name,
      max,
      size,
      idle,
      inUse: size - idle,
      waiting,
      samples: (this.#samples.get(name) ?? []).filter(([at]) => at > after),
    }));
  }

  #sample(): void {
    const at = Date.now();
    for (const { name, facts } of namePools(this.findSources())) {
      const samples = this.#samples.get(name) ?? [];
      this.#samples.set(name, samples);
      samples.push([at, facts.size - facts.idle, facts.waiting, facts.size]);
      if (samples.length > SAMPLES) {
        samples.shift();
      }
    }
  }
}
