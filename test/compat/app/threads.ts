import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService } from 'nestjs-mikro-session';

import { expectEqual } from './expect-equal.js';
import type { Extra } from './smoke.js';
import { SquareWorker } from './square.worker.js';

/** Beside the program, whichever kind of module that is. */
const application = pathToFileURL(join(dirname(process.argv[1] ?? ''), 'thread-application.js'));

/** Jobs in worker threads. */
export const threads: Extra = {
  name: 'threads',
  session: { threads: { application } },
  modules: () => [],
  check: async (app) => {
    const jobs = app.get<JobService<EntityManager>>(JobService);
    const squares = await jobs.map([1, 2, 3], SquareWorker, { threads: 2 });
    expectEqual(
      squares.map(({ square }) => square),
      [1, 4, 9],
    );
  },
};
