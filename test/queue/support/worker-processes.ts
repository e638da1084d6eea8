import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { compileApp } from '../../support/compile-app.js';
import { NodeProcess } from '../../support/node-process.js';
import type { WorkerSettings } from './worker-app/worker-settings.js';

/** Processes that work on the queue of effects. */
export class WorkerProcesses {
  readonly #folder: string;
  readonly #processes = new Map<string, NodeProcess>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async compile(): Promise<WorkerProcesses> {
    return new WorkerProcesses(await compileApp({ 'test/queue/support/worker-app': 'dist' }));
  }

  /** Starts a process, and waits until it works. */
  async start(settings: WorkerSettings): Promise<NodeProcess> {
    const started = new NodeProcess(
      join(this.#folder, 'dist', 'main.js'),
      { WORKER: JSON.stringify(settings) },
      // So little that it does not take long to run out of it.
      [process.execPath, '--max-old-space-size=128'],
    );
    this.#processes.set(settings.name, started);
    await started.says('working\n');
    return started;
  }

  /** Starts a process, unless it runs. */
  async ensure(settings: WorkerSettings): Promise<void> {
    if (this.#processes.get(settings.name)?.isRunning !== true) {
      await this.start(settings);
    }
  }

  get(name: string): NodeProcess {
    const found = this.#processes.get(name);
    if (found === undefined) {
      throw new Error(`No worker "${name}" was started`);
    }
    return found;
  }

  /** Ends those that are left. */
  async kill(): Promise<void> {
    const all = [...this.#processes.values()];
    this.#processes.clear();
    all.forEach((process) => process.kill('SIGKILL'));
    await Promise.all(all.map((process) => process.ended()));
  }

  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
