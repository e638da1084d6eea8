import type { EntityManager } from '@mikro-orm/core';

/**
 * Tells the compiler once which driver you use. Then SessionFactory, SessionContext, JobService and SessionTesting give its
 * EntityManager, with the SQL methods, without a type argument. `app.get<SessionFactory>(SessionFactory)`
 * needs one, as NestJS does not look at defaults.
 *
 * @example
 * import type { EntityManager } from '@mikro-orm/postgresql';
 *
 * declare module 'nestjs-mikro-session' {
 *   interface SessionTypes {
 *     entityManager: EntityManager;
 *   }
 * }
 */
// An interface, because only that can be added to.
export interface SessionTypes {}

/** The EntityManager of your driver, as SessionTypes has it: that of `@mikro-orm/core` while it says nothing. */
export type SessionEntityManager = SessionTypes extends { readonly entityManager: infer Em extends EntityManager }
  ? Em
  : EntityManager;
