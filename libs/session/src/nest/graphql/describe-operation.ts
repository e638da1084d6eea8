import type { ScopeEnding } from '../../session/scope/scope-ending.js';

/** What is needed of the operation of a GraphQL document. It is the same object for all resolvers of an operation. */
export interface OperationNode {
  readonly operation: string;
  readonly name?: { readonly value: string } | undefined;
}

interface FieldPath {
  readonly prev: FieldPath | undefined;
}

/** What is needed of the `info` that each resolver is given. */
export interface ResolveInfo {
  readonly fieldName: string;
  readonly operation: OperationNode;
  readonly path: FieldPath;
}

export type Resolver = (source: unknown, args: unknown, context: unknown, info: ResolveInfo) => unknown;

/** Names an operation to people: `query GetUsers`, or `query` when it has no name. */
export function describeOperation({ operation, name }: OperationNode): string {
  return name === undefined ? operation : `${operation} ${name.value}`;
}

/** Tells how an operation ended, which with errors may have a result, too. */
export function endingOf(errors: readonly unknown[] = []): ScopeEnding {
  return errors.length === 0 ? 'returned' : 'threw';
}

/** Returns an object that all resolvers below one root field share, and no others: each event of a subscription has one. */
export function rootOf({ path }: ResolveInfo): object {
  let root = path;
  while (root.prev !== undefined) {
    root = root.prev;
  }
  return root;
}
