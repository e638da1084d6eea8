// npm start and npm run worker: runs a built program, which no build replaces meanwhile.
import { join } from 'node:path';

import { holdDist } from './dist-in-use.ts';

const [, , file = ''] = process.argv;
holdDist();
await import(join(import.meta.dirname, '..', file));
