import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A process of Node.js, with what it has said so far. */
export class NodeProcess {
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown[]>;
  #output = '';
  #errors = '';

  constructor(
    script: string,
    env: Readonly<Record<string, string>>,
    [command, ...args]: readonly [string, ...string[]] = [process.execPath],
  ) {
    const { DATABASE_URL: _, NODE_OPTIONS: __, npm_lifecycle_event: ___, ...inherited } = process.env;
    this.#child = spawn(command, [...args, script], {
      env: { ...inherited, ...env },
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

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get output(): string {
    return this.#output;
  }

  get errors(): string {
    return this.#errors;
  }

  async says(text: string, where: 'output' | 'errors' = 'output'): Promise<void> {
    const { stdout, stderr } = this.#child;
    while (!this[where].includes(text)) {
      const [reason] = await Promise.race([
        once((where === 'output' ? stdout : stderr) ?? this.#child, 'data'),
        this.#exit.then(() => ['the end'] as const),
      ]);
      if (reason === 'the end') {
        throw new Error(`The process ended before it said "${text}". It said:\n${this.#output}${this.#errors}`);
      }
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits for the end of the process. Gives its exit code, or the signal that ended it. */
  async ended(): Promise<number | string> {
    const [code, signal] = (await this.#exit) as [number | null, string];
    return code ?? signal;
  }
}
