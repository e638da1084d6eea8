import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

// Half a minute on a machine that has nothing else to do. What hangs is given up with what it has said.
import.meta.jest.setTimeout(180_000);
const PATIENCE_MS = 160_000;

const SCRIPT = fileURLToPath(new URL('../chaos/main.ts', import.meta.url));

/** How a run begins the line of what it has found. */
const FINDING = /^(?:lost|doubled|untrue|hangs|connections|handles|errors): /;

interface Ended {
  readonly code?: number;
  readonly stdout: string;
  readonly stderr: string;
}

function chaos(...options: string[]): Promise<Ended> {
  return promisify(execFile)(process.execPath, [SCRIPT, ...options], { timeout: PATIENCE_MS }).catch(
    (error: Ended) => error,
  );
}

describe('npm run chaos', () => {
  it('finds nothing in a round of faults and a short search for leaks', async () => {
    const { code = 0, stdout } = await chaos('--minutes', '0.15', '--seed', '2');

    const lines = stdout.split('\n');
    expect(lines.filter((line) => FINDING.test(line))).toEqual([]);
    expect(lines).toContainEqual(expect.stringMatching(/^rows lost +0 +ok$/));
    expect(code).toBe(0);
  });

  it('refuses an option that is no number', async () => {
    const { code, stderr } = await chaos('--minutes', 'many');

    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining('Expected --minutes to be a number, got "many"'),
    });
  });
});
