import { endingOf, type OperationNode, type Resolver } from './describe-operation.js';
import type { GraphqlOperations } from './graphql-operations.js';
import { type Schema, surroundResolvers } from './surround-resolvers.js';

interface RequestContext {
  readonly contextValue: unknown;
  readonly operation?: OperationNode | undefined;
  readonly errors?: readonly unknown[];
  readonly response?: { readonly body: { readonly kind: string } };
}

interface Part {
  readonly errors?: readonly unknown[];
}

/** A later part of an answer with `@defer` or `@stream`. */
interface LaterPart {
  readonly hasNext: boolean;
  readonly incremental?: readonly Part[];
  readonly completed?: readonly Part[];
}

interface SocketOptions {
  readonly onOperation?: OnOperation;
}

type OnOperation = (
  socket: unknown,
  id: unknown,
  payload: unknown,
  args: { readonly contextValue?: unknown; readonly document: { readonly definitions: readonly OperationNode[] } },
  result: { readonly errors?: readonly unknown[] },
) => unknown;

export interface ApolloOptions {
  readonly schema?: Schema | null;
  readonly fieldResolver?: Resolver;
  readonly plugins?: readonly unknown[];
  readonly subscriptions?: Readonly<Record<string, unknown>>;
  readonly installSubscriptionHandlers?: boolean;
}

/** Returns the options with which Apollo Server opens a scope for each operation. */
export function surroundApollo<Options extends ApolloOptions>(
  options: Options,
  operations: GraphqlOperations,
): Options {
  if (options.schema === undefined || options.schema === null) {
    return options;
  }
  surroundResolvers(options.schema, {
    resolve: (context, info, work) => operations.enter(operations.scopeOf(context, info), work),
    subscribe: (context, info, work) => operations.subscribe(context, info, work),
    defaultResolver: options.fieldResolver,
  });
  return {
    ...options,
    plugins: [...(options.plugins ?? []), createPlugin(operations)],
    ...withSocketOperations(options, operations),
  };
}

/**
 * Makes a plugin of Apollo Server. Its hooks run after the last resolver, and before the response, or its last part, is
 * sent.
 */
function createPlugin(operations: GraphqlOperations): object {
  return {
    requestDidStart: async () => {
      const failures: unknown[] = [];
      return {
        willSendResponse: async ({ contextValue, operation, errors = [], response }: RequestContext) => {
          failures.push(...errors);
          if (response?.body.kind === 'incremental') {
            operations.endWhenLeft(contextValue, operation);
            return;
          }
          await operations.end(contextValue, operation, endingOf(failures));
        },
        willSendSubsequentPayload: async (
          { contextValue, operation }: RequestContext,
          { incremental = [], completed = [], hasNext }: LaterPart,
        ) => {
          failures.push(...[...incremental, ...completed].flatMap(({ errors = [] }) => errors));
          if (!hasNext) {
            await operations.end(contextValue, operation, endingOf(failures));
          }
        },
      };
    },
    // Called when a hook of this plugin or of another has failed. Apollo Server itself reports that error.
    unexpectedErrorProcessingRequest: ({ requestContext }: { readonly requestContext: RequestContext }) =>
      operations.end(requestContext.contextValue, requestContext.operation, 'threw'),
  };
}

/** Queries and mutations over a WebSocket go through graphql-ws only, not through Apollo Server. */
function withSocketOperations(
  options: ApolloOptions,
  operations: GraphqlOperations,
): Pick<ApolloOptions, 'subscriptions'> {
  const { subscriptions = options.installSubscriptionHandlers === true ? { 'graphql-ws': true } : undefined } = options;
  const given = subscriptions?.['graphql-ws'];
  if (given === undefined || given === false) {
    return {};
  }
  const socket = (given === true ? {} : given) as SocketOptions;
  const onOperation: OnOperation = async (context, id, payload, args, result) => {
    try {
      return await socket.onOperation?.(context, id, payload, args, result);
    } finally {
      await operations.endAll(args.contextValue, args.document.definitions, endingOf(result.errors));
    }
  };
  return { subscriptions: { ...subscriptions, 'graphql-ws': { ...socket, onOperation } } };
}
