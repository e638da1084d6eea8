import { spawn } from 'node:child_process';

export interface ProgramOptions {
  readonly cwd: string;
  readonly timeout: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Whether an exit code other than 0 is an answer as well. */
  readonly mayFail?: boolean;
}

/**
 * Runs a program to its end, and returns what it wrote.
 *
 * @throws {Error} with the end of what it wrote, where it fails, or is not done in time and is killed
 */
export async function runProgram(command: string, args: readonly string[], options: ProgramOptions): Promise<string> {
  const { cwd, timeout, env, mayFail = false } = options;
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, which is killed with all that it has started.
    detached: true,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.once('error', reject).once('close', resolve);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    process.kill(-(child.pid ?? 0), 'SIGKILL');
  }, timeout);
  const code = await promise.finally(() => clearTimeout(timer));
  if (isLate || (code !== 0 && !mayFail)) {
    const end = isLate ? `was not done in ${timeout / 1_000} s` : `ended with ${code}`;
    throw new Error(`${[command, ...args].join(' ')} ${end}:\n${output.slice(-4_000)}`);
  }
  return output;
}
