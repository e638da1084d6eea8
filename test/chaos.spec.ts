import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

// Under a minute, on a machine that has nothing else to do.
import.meta.jest.setTimeout(150_000);

const SCRIPT = fileURLToPath(new URL('../chaos/main.ts', import.meta.url));

interface Ended {
  readonly code?: number;
  readonly stdout: string;
  readonly stderr: string;
}

function chaos(...options: string[]): Promise<Ended> {
  return promisify(execFile)(process.execPath, [SCRIPT, ...options]).catch((error: Ended) => error);
}

describe('npm run chaos', () => {
  it('finds nothing in a round of faults and a short search for leaks', async () => {
    const { code = 0, stdout } = await chaos('--minutes', '0.3', '--seed', '2');

    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/rows lost +0 +ok/) });
  });

  it('refuses an option that is no number', async () => {
    const { code, stderr } = await chaos('--minutes', 'many');

    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining('Expected --minutes to be a number, got "many"'),
    });
  });
});
