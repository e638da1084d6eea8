import type { ScopeEnding } from '../../session/scope/scope-ending.js';

/**
 * The members of the operation of a GraphQL document that are used here. All resolvers of an operation get the same
 * object.
 */
export interface OperationNode {
  readonly operation: string;
  readonly name?: { readonly value: string } | undefined;
}

interface FieldPath {
  readonly prev: FieldPath | undefined;
}

/** The members of the `info` of a resolver that are used here. */
export interface ResolveInfo {
  readonly fieldName: string;
  readonly operation: OperationNode;
  readonly path: FieldPath;
}

export type Resolver = (source: unknown, args: unknown, context: unknown, info: ResolveInfo) => unknown;

/** Returns the name of an operation for people: `query GetUsers`, or `query` when it has no name. */
export function describeOperation({ operation, name }: OperationNode): string {
  return name === undefined ? operation : `${operation} ${name.value}`;
}

/** Returns how an operation ended. An operation with errors may have a result too. */
export function endingOf(errors: readonly unknown[] = []): ScopeEnding {
  return errors.length === 0 ? 'returned' : 'threw';
}

/** Returns an object that exactly the resolvers below one root field share. Each event of a subscription has one. */
export function rootOf({ path }: ResolveInfo): object {
  let root = path;
  while (root.prev !== undefined) {
    root = root.prev;
  }
  return root;
}
