import { describeOperation, type OperationNode } from './graphql-info.js';
import type { GraphqlOperations } from './graphql-operations.js';
import { type Schema, surroundResolvers } from './graphql-schema.js';

interface Document {
  readonly definitions: readonly (OperationNode & { readonly kind: string })[];
}

interface Result {
  readonly errors?: readonly unknown[];
}

type Arguments = [source: unknown, context?: object, variables?: unknown, operationName?: string | null];

/** What Mercurius adds to Fastify: a function that runs an operation, whichever way it came. */
interface Mercurius {
  (...args: Arguments): Promise<Result>;
  readonly schema: Schema;
  addHook(name: 'preExecution', hook: (schema: unknown, document: Document, context: object) => Promise<void>): void;
}

/** The Fastify instance of a driver, where it has one. */
export interface FastifyWithMercurius {
  graphql?: Mercurius;
}

interface Named {
  document?: Document;
  readonly operationName: string | null | undefined;
}

/** Opens a scope for each operation that Mercurius runs, and for each event of a subscription. */
export function surroundMercurius(
  fastify: FastifyWithMercurius | undefined,
  { subscription }: { readonly subscription?: unknown },
  operations: GraphqlOperations,
): void {
  const graphql = fastify?.graphql;
  if (fastify === undefined || graphql === undefined) {
    return;
  }
  const running = new WeakMap<object, Named>();
  graphql.addHook('preExecution', async (_schema, document, context) => {
    const named = running.get(context);
    if (named !== undefined) {
      named.document = document;
    }
  });
  fastify.graphql = new Proxy(graphql, {
    apply(target, self, [source, context = {}, variables, operationName]: Arguments) {
      const named: Named = { operationName };
      running.set(context, named);
      const scope = operations.open(context, () => describe(named));
      return operations.runIn(scope, async () => {
        const result = await Reflect.apply(target, self, [source, context, variables, operationName]);
        if (result.errors !== undefined && result.errors.length > 0) {
          await scope.end('threw');
        }
        return result;
      });
    },
  });
  if (subscription !== undefined && subscription !== false) {
    surroundResolvers(graphql.schema, {
      resolve: (resolverContext, info, work) => operations.enter(operations.eventOf(resolverContext, info), work),
      subscribe: (resolverContext, info, work) => operations.subscribe(resolverContext, info, work),
    });
  }
}

function describe({ document, operationName }: Named): string {
  const operations = document?.definitions.filter(({ kind }) => kind === 'OperationDefinition') ?? [];
  const operation = operations.find(({ name }) => name?.value === operationName) ?? operations[0];
  return operation === undefined ? 'operation' : describeOperation(operation);
}
