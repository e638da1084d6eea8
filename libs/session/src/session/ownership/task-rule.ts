import type { ScopeKind } from '../scope/scope.js';

interface Started<Scope> {
  readonly kind: ScopeKind;
  /** The scope in which the code ran that opened it. */
  readonly startedIn?: Scope | undefined;
}

interface OfTask {
  readonly kind: ScopeKind;
  readonly task: OfTask | undefined;
}

const BLOCKS: ReadonlySet<ScopeKind> = new Set(['method', 'run', 'begin']);

/**
 * Returns the task of a new scope, identified by the scope that began the task. A request, a message and a job are
 * tasks of their own. A block belongs to the task in which it is opened. A session that the main program creates has no
 * task.
 */
export function findTask<Scope extends { readonly task: Scope | undefined }>(
  scope: Scope,
  { kind, startedIn }: Started<Scope>,
): Scope | undefined {
  switch (kind) {
    case 'request':
    case 'message':
    case 'operation':
    case 'event':
    case 'tick':
    case 'job':
    case 'callback':
    case 'key':
    // An @InSession() method gets no session as an argument. If it uses the session of its caller, that is a mistake.
    case 'method':
      return scope;
    case 'run':
    case 'begin':
      return startedIn === undefined ? scope : startedIn.task;
    case 'create':
      return startedIn?.task;
  }
}

/**
 * The rule of ownership: whether code that runs in the scope `user`, or outside of every scope, may use the sessions of
 * another scope. Both must belong to the same task.
 */
export function mayUse(user: OfTask | undefined, { task }: OfTask): boolean {
  if (task !== undefined) {
    return task === user?.task;
  }
  // The main program is a task too. The blocks that it opens belong to it.
  return user?.task === undefined || BLOCKS.has(user.task.kind);
}
