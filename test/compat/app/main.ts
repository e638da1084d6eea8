import { graphql } from './graphql.js';
import { places } from './places.js';
import { queue } from './queue.js';
import { smoke } from './smoke.js';
import { threads } from './threads.js';

void smoke([places, graphql, queue, threads]);
