import { fileURLToPath } from 'node:url';

import { NodeProcess } from '../../test/support/node-process.js';
import type { Tally } from '../tally.js';
import { within } from '../within.js';
import type { WorkerSettings } from './worker-settings.js';

const SCRIPT = fileURLToPath(new URL('./main.js', import.meta.url));
/** Megabytes of the heap of a worker process: little, so that a job which fills it is soon done. */
const HEAP_MB = 96;
/** What a process that is told to end may take: its shutdownTimeout, the way down, and a slow machine. */
const GOODBYE_MS = 20_000;
/** A process that cannot reach its database ends, and is started again no sooner. */
const PAUSE_MS = 250;

interface Member {
  readonly settings: WorkerSettings;
  process: NodeProcess;
  /** Resolves when the process has ended and will not be started again. */
  watch: Promise<void>;
}

/** Worker processes that are started again when they end, as a process manager does. */
export class WorkerCrew {
  readonly #members: Member[];
  readonly #tally: Tally;
  readonly #killAll = (): void => this.#members.forEach(({ process }) => process.kill('SIGKILL'));
  #isEnding = false;

  constructor(settings: readonly WorkerSettings[], tally: Tally) {
    this.#tally = tally;
    this.#members = settings.map((one) => {
      const member: Member = { settings: one, process: start(one), watch: Promise.resolve() };
      member.watch = this.#watch(member);
      return member;
    });
    // Whatever becomes of the run, they do not outlive it.
    process.on('exit', this.#killAll);
  }

  /** How many there are. */
  get size(): number {
    return this.#members.length;
  }

  kill(number: number): void {
    this.#at(number)?.kill('SIGKILL');
  }

  /** Stops a process in the middle of what it does, so that others take it for dead. */
  async freeze(number: number, until: Promise<unknown>): Promise<void> {
    const frozen = this.#at(number);
    frozen?.kill('SIGSTOP');
    await until;
    frozen?.kill('SIGCONT');
  }

  /** Tells a process to end, and finds out whether it does. */
  async dismiss(number: number): Promise<void> {
    const told = this.#at(number);
    if (told === undefined) {
      return;
    }
    told.kill('SIGTERM');
    await within(GOODBYE_MS, `The worker process that was told to end`, told.ended()).catch((error: Error) => {
      this.#tally.find('hangs', error.message);
      told.kill('SIGKILL');
    });
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    await Promise.all(
      this.#members.map(async (member, number) => {
        await this.dismiss(number);
        await member.watch;
      }),
    );
    process.off('exit', this.#killAll);
  }

  #at(number: number): NodeProcess | undefined {
    const process = this.#members[number]?.process;
    return process?.isRunning === true ? process : undefined;
  }

  async #watch(member: Member): Promise<void> {
    while (!this.#isEnding) {
      const code = await member.process.ended();
      if (!this.#isEnding) {
        this.#judge(member, code);
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      if (!this.#isEnding) {
        member.process = start(member.settings);
      }
    }
    await member.process.ended();
  }

  /** A process may end because it was told to, was killed, ran poison, or did not reach its database when it began. */
  #judge({ settings: { name, queue }, process }: Member, code: number | string): void {
    const hasWorked = process.output.includes('working');
    if (queue === 'poison' && code !== 0) {
      this.#tally.counts.poisoned += 1;
    } else if (hasWorked && typeof code === 'number' && code !== 0) {
      this.#tally.find('errors', `The process "${name}" ended with ${code}: ${process.errors.slice(-1_500)}`);
    }
  }
}

function start(settings: WorkerSettings): NodeProcess {
  return new NodeProcess(SCRIPT, { WORKER: JSON.stringify(settings) }, [
    process.execPath,
    `--max-old-space-size=${HEAP_MB}`,
  ]);
}
