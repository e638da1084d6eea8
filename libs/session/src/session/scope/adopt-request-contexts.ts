import { type EntityManager, type ForkOptions, RequestContext, TransactionContext } from '@mikro-orm/core';

/** The property of an EntityManager that opens a new scope for code that its user wants to isolate. */
export const OPEN_CONTEXT = Symbol('open context');

/** The property of the fork that stands for the current session in every RequestContext. */
export const IS_CONTEXT_FORK = Symbol('context fork');

export type ContextOptions = Omit<ForkOptions, 'useContext'>;

interface Isolating {
  /** Runs `next` in a new scope, where a scope is current. */
  [OPEN_CONTEXT]?<Result>(next: () => Result, options: ContextOptions): Result;
  [IS_CONTEXT_FORK]?: boolean;
}

type Any = EntityManager & Isolating;

const IS_ADOPTED = Symbol('adopted');

/**
 * Makes `RequestContext.create()` and `@CreateRequestContext()` open a new scope inside a scope, as they open a new
 * context without this library. MikroORM has no hook there, so its static methods are replaced, once per process. The
 * new methods hold no state. For EntityManagers of other applications they call the old ones.
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
      // A middleware passes a function that takes an error. That function continues the request, which has a scope
      // already.
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
