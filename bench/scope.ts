import { SessionFactory } from 'nestjs-mikro-session';

import { startOurs, startPeer } from './applications.ts';
import type { Claim } from './claim.ts';

const SCOPES = 50_000;

/** What a scope costs over the fork that every user of MikroORM pays for. */
export const scopeClaim: Claim = {
  title: `${SCOPES} times run(session => 0), all checks on`,
  peer: 'em.fork()',
  atMost: 2,
  async ours(databaseUrl) {
    const app = await startOurs(databaseUrl);
    const factory = app.get(SessionFactory);
    return {
      async round() {
        for (let i = 0; i < SCOPES; i += 1) {
          await factory.run(() => 0);
        }
      },
      close: () => app.close(),
    };
  },
  async theirs(databaseUrl) {
    const orm = await startPeer(databaseUrl);
    return {
      async round() {
        for (let i = 0; i < SCOPES; i += 1) {
          await Promise.resolve(orm.em.fork());
        }
      },
      close: () => orm.close(),
    };
  },
};
