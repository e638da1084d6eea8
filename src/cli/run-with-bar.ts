import { randomUUID } from 'node:crypto';

import { Injectable } from '@nestjs/common';
import { Presets, SingleBar } from 'cli-progress';
import { SessionFactory } from 'nestjs-mikro-session';

import { Instance } from '../runs/instance.js';
import { createRun } from '../runs/create-run.js';
import type { LiveRun } from '../runs/live-run.js';
import { RunExecutor } from '../runs/run-executor.js';
import { NumberList } from '../runs/number-list.js';
import { type RunView, toRunView } from '../runs/run-view.js';
import type { NumberRange } from './read-range.js';

/** Runs one run to its end, and shows its progress on the terminal. */
@Injectable()
export class RunWithBar {
  constructor(
    private readonly sessions: SessionFactory,
    private readonly instance: Instance,
    private readonly executor: RunExecutor,
  ) {}

  /** @param ending stops the run when it resolves: the running jobs finish, and no other job starts */
  async run({ from, to, concurrency }: NumberRange, ending: Promise<void>): Promise<RunView> {
    const numbers = NumberList.range(from, to);
    const view = await this.#store(numbers.length, concurrency);
    this.executor.start(view, { numbers, simulate: {} });
    const live = this.executor.live.get(view.id);
    if (live === undefined) {
      throw new Error(`The run "${view.id}" did not start.`);
    }
    void ending.then(() => live.stop('cancelled'));
    await show(live);
    return live.view;
  }

  #store(total: number, concurrency: number): Promise<RunView> {
    return this.sessions.begin((session) =>
      toRunView(
        createRun(session, {
          engine: 'process',
          instanceId: this.instance.id,
          total,
          concurrency,
          requestSessionId: randomUUID(),
        }),
      ),
    );
  }
}

/** Draws a bar until the run has ended. Where the output is not a terminal, prints a line now and then. */
async function show(live: LiveRun): Promise<void> {
  const bar = new SingleBar(
    { format: '{bar} {value}/{total} | {rate} per second | {left} s left', noTTYOutput: true },
    Presets.shades_classic,
  );
  bar.start(live.view.total, 0, { rate: 0, left: '?' });
  const draw = ({ done, failed }: RunView): void => {
    const { rate = 0, timeLeft } = live.pace ?? {};
    const left = timeLeft === undefined ? '?' : Math.ceil(timeLeft / 1_000);
    bar.update(done + failed, { rate: Math.round(rate), left });
  };
  const views = live.views.subscribe(draw);
  await live.ended;
  views.unsubscribe();
  draw(live.view);
  bar.stop();
}
