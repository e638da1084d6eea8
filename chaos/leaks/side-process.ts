import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { within } from '../within.js';
import type { Answer, Order, SideSettings } from './orders.js';

/** How long after its time an order may take to end. */
const BOUND_MS = 30_000;
const SCRIPT = fileURLToPath(new URL('./side.js', import.meta.url));

/** A process that is measured, seen from outside. */
export class SideProcess {
  readonly #child: ChildProcess;
  readonly url: string;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  static async start(settings: SideSettings): Promise<SideProcess> {
    const child = fork(SCRIPT, [JSON.stringify(settings)], { execArgv: ['--expose-gc'] });
    const { url = '' } = await nextAnswer(child);
    return new SideProcess(child, url);
  }

  async ask(kind: Order['kind'], { count, deadline }: Pick<Order, 'count' | 'deadline'>): Promise<Answer> {
    this.#child.send({ kind, count, deadline } satisfies Order);
    const bound = Math.max(deadline - Date.now(), 0) + BOUND_MS;
    return within(bound, `The order "${kind}" to the process that is measured`, nextAnswer(this.#child));
  }

  async measureHeap(): Promise<number> {
    const { heap = NaN } = await this.ask('heap', { count: 1, deadline: 0 });
    return heap;
  }

  /** Closes the application. Gives what stays. */
  async end(): Promise<readonly string[]> {
    const ended = once(this.#child, 'exit');
    const { left = [] } = await this.ask('end', { count: 1, deadline: 0 });
    await ended;
    return left;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

async function nextAnswer(child: ChildProcess): Promise<Answer> {
  const [answer] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as unknown[];
  if (typeof answer !== 'object' || answer === null) {
    throw new Error(`The process that is measured ended with ${String(answer)}`);
  }
  if ('failure' in answer) {
    throw new Error(`The process that is measured failed: ${String(answer.failure)}`);
  }
  return answer;
}
