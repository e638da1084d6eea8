import { smoke } from './smoke.js';

void smoke([]);
