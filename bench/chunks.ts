import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService } from 'nestjs-mikro-session';

import { Item, POOL_SIZE, startOurs } from './applications.ts';
import { insertByHand } from './by-hand.ts';
import type { Claim } from './claim.ts';

const INPUTS = 6_000;
const CHUNK = 100;

function insert(session: EntityManager, value: number): void {
  session.create(Item, { value });
}

/** What chunks save over the same inputs one by one, written by hand. */
export const chunkClaim: Claim = {
  title: `${INPUTS} inputs in chunks of ${CHUNK}, ${POOL_SIZE} at once`,
  peer: 'em.fork() and em.transactional() for each input, in as many loops',
  atMost: 1 / 12,
  async ours(databaseUrl) {
    const app = await startOurs(databaseUrl);
    const jobs = app.get<JobService<EntityManager>>(JobService);
    const options = { concurrency: POOL_SIZE, chunkSize: CHUNK };
    return {
      round: async () => void (await jobs.map(Array(INPUTS).keys(), insert, options)),
      close: () => app.close(),
    };
  },
  theirs: (databaseUrl) => insertByHand(INPUTS, databaseUrl),
};
