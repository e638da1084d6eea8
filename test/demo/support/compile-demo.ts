import { compileApp } from '../../support/compile-app.js';

/** Compiles the demo. Gives the folder; the demo is its `dist/main.js`. */
export function compileDemo(): Promise<string> {
  return compileApp({ src: 'dist' });
}
