import { compile } from '../../support/compile.js';

/** Compiles the demo. Gives the folder; the demo is its `dist/main.js`. */
export function compileDemo(): Promise<string> {
  return compile({ src: 'dist' });
}
