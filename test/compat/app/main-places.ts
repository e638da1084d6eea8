import { graphql } from './graphql.js';
import { places } from './places.js';
import { queue } from './queue.js';
import { smoke } from './smoke.js';

void smoke([places, graphql, queue]);
