// The command: compiles everything, decorators included, and runs it in a process whose heap can be measured.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { compileApp } from '../test/support/compile-app.ts';

// Names the folder in which the compiler keeps its work. A test shares it with others.
const isInTest = process.env['TEST_RUN'] !== undefined;
process.env['TEST_RUN'] ??= `chaos-${process.pid}`;
const folder = await compileApp({ chaos: 'chaos', 'test/support': 'test/support', 'src/postgres': 'src/postgres' });
try {
  const run = spawn(process.execPath, ['--expose-gc', join(folder, 'chaos', 'run.js'), ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    // The run ends first, and with it what it has started.
    process.on(signal, () => run.kill(signal));
  }
  const [code] = (await once(run, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
} finally {
  await rm(isInTest ? folder : dirname(folder), { recursive: true, force: true });
}
