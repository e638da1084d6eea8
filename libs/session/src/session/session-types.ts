import type { EntityManager } from '@mikro-orm/core';

/**
 * Tells the compiler which driver you use. Then SessionFactory, SessionContext, JobService and SessionTesting have the
 * EntityManager of that driver, with its SQL methods, without a type argument. Only
 * `app.get<SessionFactory>(SessionFactory)` needs one: NestJS ignores the defaults of type parameters.
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
// An interface, because the application can extend only an interface.
export interface SessionTypes {}

/** The EntityManager of your driver, as SessionTypes declares it. Without a declaration, that of `@mikro-orm/core`. */
export type SessionEntityManager = SessionTypes extends { readonly entityManager: infer Em extends EntityManager }
  ? Em
  : EntityManager;
