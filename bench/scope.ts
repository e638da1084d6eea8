import type { MikroORM } from '@mikro-orm/postgresql';
import type { INestApplicationContext } from '@nestjs/common';
import { SessionFactory } from 'nestjs-mikro-session';

import type { Claim } from './claim.ts';

const SCOPES = 50_000;

/** What a scope costs over the fork that every user of MikroORM pays for. */
export function scopeClaim(app: INestApplicationContext, orm: MikroORM): Claim {
  const factory = app.get(SessionFactory);
  return {
    title: `${SCOPES} times run(session => 0), all checks on`,
    peer: 'em.fork()',
    atMost: 2.5,
    async ours() {
      for (let i = 0; i < SCOPES; i += 1) {
        await factory.run(() => 0);
      }
    },
    async theirs() {
      for (let i = 0; i < SCOPES; i += 1) {
        await Promise.resolve(orm.em.fork());
      }
    },
  };
}
