import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { JobsClient } from './jobs-client.js';

/** The demo as a process of its own, with an embedded database of its own. */
export class DemoProcess {
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown[]>;
  #output = '';
  #errors = '';

  constructor(
    folder: string,
    env: Readonly<Record<string, string>>,
    [command, ...args]: readonly [string, ...string[]] = [process.execPath],
  ) {
    const { DATABASE_URL: _, NODE_OPTIONS: __, npm_lifecycle_event: ___, ...inherited } = process.env;
    this.#child = spawn(command, [...args, join(folder, 'dist', 'main.js')], {
      env: { ...inherited, PORT: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    // Not before the pipes are empty, or the last words would be missing.
    this.#exit = once(this.#child, 'close');
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.#output += chunk.toString()));
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.#errors += chunk.toString()));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get output(): string {
    return this.#output;
  }

  get errors(): string {
    return this.#errors;
  }

  /** Waits until the demo says where it listens. */
  async listening(): Promise<JobsClient> {
    await this.says('Listening on ');
    const url = /^Listening on (\S+)/m.exec(this.#output)?.[1];
    return new JobsClient(url ?? '');
  }

  async says(text: string): Promise<void> {
    while (!this.#output.includes(text)) {
      const [reason] = await Promise.race([
        once(this.#child.stdout ?? this.#child, 'data'),
        this.#exit.then(() => ['the end'] as const),
      ]);
      if (reason === 'the end') {
        throw new Error(`The demo ended before it said "${text}". It said:\n${this.#output}${this.#errors}`);
      }
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits for the end of the process. Gives its exit code. */
  async ended(): Promise<number | null> {
    const [code] = (await this.#exit) as [number | null];
    return code;
  }
}
