import type { JobOutcome } from '../../jobs/job-outcome.js';
import type { RunFollower, RunStart } from '../../jobs/run/run-watch.js';
import { describeFailure } from './describe-failure.js';
import type { RunFailure, RunView } from './inspector-state.js';

/** The number of ended runs that are kept. */
const ENDED_RUNS = 50;
const FAILURES = 10;

/** Counts the jobs of the runs of JobService. */
export class RunLog {
  readonly #live = new Set<Run>();
  readonly #ended: Run[] = [];
  #lastId = 0;
  #lastChange = 0;

  constructor(private readonly values: boolean) {}

  /** A number that grows with each change of a run. */
  get lastChange(): number {
    return this.#lastChange;
  }

  begin(start: RunStart): RunFollower {
    this.#lastId += 1;
    const run = new Run(this.#lastId, start);
    this.#live.add(run);
    this.#touch(run);
    return {
      ended: (outcome) => {
        run.count(outcome, this.values);
        this.#touch(run);
      },
      over: () => {
        run.endedAt = Date.now();
        this.#touch(run);
        this.#live.delete(run);
        this.#ended.push(run);
        if (this.#ended.length > ENDED_RUNS) {
          this.#ended.shift();
        }
      },
    };
  }

  /** Returns the runs that have changed after the change with this number, in the order in which they began. */
  after(change: number): RunView[] {
    return [...this.#ended, ...this.#live]
      .filter((run) => run.change > change)
      .map((run) => run.view)
      .toSorted((a, b) => a.id - b.id);
  }

  #touch(run: Run): void {
    this.#lastChange += 1;
    run.change = this.#lastChange;
  }
}

class Run {
  change = 0;
  endedAt: number | undefined;
  readonly #startedAt = Date.now();
  readonly #failures: RunFailure[] = [];
  #done = 0;
  #failed = 0;

  constructor(
    private readonly id: number,
    private readonly start: RunStart,
  ) {}

  count(outcome: JobOutcome<unknown, unknown>, values: boolean): void {
    if (outcome.status === 'fulfilled') {
      this.#done += 1;
      return;
    }
    if (outcome.attempts > 0) {
      this.#failed += 1;
    }
    const { index, ending, reason } = outcome;
    this.#failures.push({ index, ending, message: describeFailure(reason, values) });
    if (this.#failures.length > FAILURES) {
      this.#failures.shift();
    }
  }

  get view(): RunView {
    const ended = this.#done + this.#failed;
    const elapsed = (this.endedAt ?? Date.now()) - this.#startedAt;
    const rate = elapsed > 0 ? (ended * 1_000) / elapsed : 0;
    const { label, total, lanes } = this.start;
    const isKnown = total !== undefined && rate > 0 && this.endedAt === undefined;
    return {
      id: this.id,
      label,
      total,
      lanes,
      done: this.#done,
      failed: this.#failed,
      startedAt: this.#startedAt,
      endedAt: this.endedAt,
      rate,
      timeLeft: isKnown ? ((total - ended) / rate) * 1_000 : undefined,
      failures: [...this.#failures],
    };
  }
}
