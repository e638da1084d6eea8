import { describeOperation, type OperationNode } from './describe-operation.js';
import type { GraphqlOperations } from './graphql-operations.js';
import { type Schema, surroundResolvers } from './surround-resolvers.js';

interface Document {
  readonly definitions: readonly (OperationNode & { readonly kind: string })[];
}

interface Result {
  readonly errors?: readonly unknown[];
}

type Arguments = [source: unknown, context?: object | null, variables?: unknown, operationName?: string | null];

/** The function that Mercurius adds to Fastify. It runs every operation, over HTTP or a WebSocket. */
interface Mercurius {
  (...args: Arguments): Promise<Result>;
  readonly schema: Schema;
  addHook(name: 'preExecution', hook: (schema: unknown, document: Document) => Promise<void>): void;
}

/** The Fastify instance of a driver. */
export interface FastifyWithMercurius {
  graphql?: Mercurius;
}

/** The parts that give an operation its name. The document is set when it has been parsed. */
interface Naming {
  document?: Document;
  readonly operationName: string | null | undefined;
}

/**
 * Opens a scope for each operation that Mercurius runs, and for each event of a subscription.
 *
 * @returns whether the driver uses Mercurius
 */
export function surroundMercurius(
  fastify: FastifyWithMercurius | undefined,
  { subscription }: { readonly subscription?: unknown },
  operations: GraphqlOperations,
): boolean {
  const graphql = fastify?.graphql;
  if (fastify === undefined || graphql === undefined) {
    return false;
  }
  const namings = new WeakMap<object, Naming>();
  graphql.addHook('preExecution', async (_schema, document) => {
    const naming = operations.current === undefined ? undefined : namings.get(operations.current);
    if (naming !== undefined) {
      naming.document = document;
    }
  });
  // Seam: mercurius/graphql
  fastify.graphql = new Proxy(graphql, {
    apply(target, self, [source, given, variables, operationName]: Arguments) {
      const context = given ?? {};
      const naming: Naming = { operationName };
      const scope = operations.open(context, () => describe(naming));
      namings.set(scope, naming);
      return operations.execute(scope, () => Reflect.apply(target, self, [source, context, variables, operationName]));
    },
  });
  if (subscription !== undefined && subscription !== false) {
    surroundResolvers(graphql.schema, {
      resolve: (resolverContext, info, work) => operations.enter(operations.eventOf(resolverContext, info), work),
      subscribe: (resolverContext, info, work) => operations.subscribe(resolverContext, info, work),
    });
  }
  return true;
}

function describe({ document, operationName }: Naming): string {
  const operations = document?.definitions.filter(({ kind }) => kind === 'OperationDefinition') ?? [];
  const operation = operations.find(({ name }) => name?.value === operationName) ?? operations[0];
  return operation === undefined ? 'operation' : describeOperation(operation);
}
