import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import type { INestApplicationContext } from '@nestjs/common';
import { JobService } from 'nestjs-mikro-session';

import { Item, POOL_SIZE } from './applications.ts';
import type { Claim } from './claim.ts';

const JOBS = 3_000;

/** What a job that inserts a row and commits costs over the same written by hand. */
export function jobClaim(app: INestApplicationContext, orm: MikroORM): Claim {
  const jobs = app.get<JobService<EntityManager>>(JobService);
  return {
    title: `${JOBS} jobs that insert a row and commit, ${POOL_SIZE} at once`,
    peer: 'em.fork() and em.transactional() in as many loops',
    atMost: 1.05,
    async ours() {
      await jobs.map(
        Array(JOBS).keys(),
        (session, value) => {
          session.create(Item, { value });
        },
        { concurrency: POOL_SIZE },
      );
    },
    async theirs() {
      const inputs = Array(JOBS).keys();
      await Promise.all(
        Array.from({ length: POOL_SIZE }, async () => {
          for (const value of inputs) {
            await orm.em.fork().transactional(async (em) => {
              em.create(Item, { value });
            });
          }
        }),
      );
    },
  };
}
