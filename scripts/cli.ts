// npm run cli: looks at the arguments first, builds what is not built, and runs.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { registerHooks } from 'node:module';
import { join } from 'node:path';

import { holdDist } from './dist-in-use.ts';

// The sources name each other as they are called when they are built.
registerHooks({
  resolve: (name, context, next) => {
    try {
      return next(name, context);
    } catch (error) {
      if (!name.startsWith('.') || !name.endsWith('.js')) {
        throw error;
      }
      return next(name.replace(/\.js$/, '.ts'), context);
    }
  },
});

const { readRange } = await import('../src/cli/read-range.ts');
try {
  readRange(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
}
// Standard output is for what the program says.
const builder = spawn(
  process.execPath,
  ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'build.ts')],
  { stdio: ['inherit', process.stderr, 'inherit'] },
);
const passOn = (signal: NodeJS.Signals): void => void builder.kill(signal);
process.on('SIGINT', passOn).on('SIGTERM', passOn);
const [code, signal] = (await once(builder, 'exit')) as [number | null, NodeJS.Signals | null];
process.off('SIGINT', passOn).off('SIGTERM', passOn);
if (signal !== null) {
  process.kill(process.pid, signal);
}
if (code !== 0) {
  process.exit(code ?? 1);
}
holdDist();
const program: string = join(import.meta.dirname, '..', 'dist', 'cli', 'main.js');
await import(program);
