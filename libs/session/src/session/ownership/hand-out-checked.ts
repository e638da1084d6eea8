import type { Connection, EntityManager } from '@mikro-orm/core';

import type { BuilderLike } from './handed-out/check-builder.js';
import type { KyselyLike } from './handed-out/check-kysely.js';
import type { HandedOut } from './handed-out/handed-out.js';
import { STATE, type WithState } from '../known-session.js';
import type { EntityManagerClass } from '../entity-manager-class.js';

type Method = (this: EntityManager, ...args: unknown[]) => unknown;

/**
 * Makes the query builders and Kysely instances of a session check, when they are executed, that the session may be
 * used. By then, another task may hold them, or the session may have ended.
 *
 * @param find returns the session of an EntityManager, or a fork of that session
 */
export function handOutChecked(
  sessions: EntityManagerClass,
  find: (em: EntityManager) => (EntityManager & WithState) | undefined,
): void {
  const methods = sessions.prototype as unknown as Record<string, Method | undefined>;
  const check = (name: string, bind: (handedOut: HandedOut, handed: never, em: EntityManager) => unknown): void => {
    const inherited = methods[name];
    if (inherited !== undefined) {
      methods[name] = function (...args) {
        const handed = inherited.apply(this, args);
        const em = find(this);
        const state = em?.[STATE];
        return state === undefined ? handed : bind(state.handedOut, handed as never, em as EntityManager);
      };
    }
  };
  check('createQueryBuilder', (handedOut, builder: BuilderLike, em) => handedOut.builder(builder, em));
  check('getKysely', (handedOut, kysely: KyselyLike, em) =>
    handedOut.kysely(kysely, em.getTransactionContext<KyselyLike>()),
  );
  check('getConnection', (handedOut, connection: Connection) => handedOut.connection(connection));
}
