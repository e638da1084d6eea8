import { type EntityManager, type ForkOptions, RequestContext, TransactionContext } from '@mikro-orm/core';

/** The property by which an EntityManager opens a scope for what its user wants isolated. */
export const OPEN_CONTEXT = Symbol('open context');

/** The property of the EntityManager that stands for the context in all contexts of MikroORM. */
export const IS_CONTEXT_FORK = Symbol('context fork');

export type ContextOptions = Omit<ForkOptions, 'useContext'>;

interface Isolating {
  /** Runs `next` in a scope of its own, where a scope is current. */
  [OPEN_CONTEXT]?<Result>(next: () => Result, options: ContextOptions): Result;
  [IS_CONTEXT_FORK]?: boolean;
}

type Any = EntityManager & Isolating;

const IS_ADOPTED = Symbol('adopted');

/**
 * Makes `RequestContext.create()` and `@CreateRequestContext()` within a scope open a scope of their own, as they open a
 * context of their own without sessions. MikroORM asks nobody there: its static methods are changed, once per process.
 * They keep nothing, and pass through for EntityManagers of other applications.
 */
export function adoptRequestContexts(): void {
  if (IS_ADOPTED in RequestContext) {
    return;
  }
  const createRequest = RequestContext.create.bind(RequestContext);
  const createTransaction = TransactionContext.create.bind(TransactionContext);
  // Seam: mikro-orm/contexts
  Object.assign(RequestContext, {
    [IS_ADOPTED]: true,
    create: ((em, next, options) => {
      const managers: Any[] = Array.isArray(em) ? em : [em];
      const create = (): ReturnType<typeof next> => createRequest(em, next, options);
      // A middleware hands on a function that takes an error: what follows is the request itself, which has a scope.
      return next.length > 0 ? create() : managers.reduce(openAround(options), create)();
    }) satisfies typeof RequestContext.create,
  });
  // `@CreateRequestContext()` within a transaction.
  TransactionContext.create = (em: Any, next) =>
    em[IS_CONTEXT_FORK] === true && em[OPEN_CONTEXT] !== undefined
      ? em[OPEN_CONTEXT](() => createTransaction(em, next), {})
      : createTransaction(em, next);
}

function openAround(
  options: Parameters<typeof RequestContext.create>[2],
): <Result>(work: () => Result, em: Any) => () => Result {
  return (work, em) => () =>
    em[OPEN_CONTEXT] === undefined
      ? work()
      : em[OPEN_CONTEXT](work, (typeof options === 'function' ? options(em.name) : options) ?? {});
}
