import type { OnModuleInit } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';

import { checkContextId } from '../request-context-id.js';
import { type ApolloOptions, surroundApollo } from './surround-apollo.js';
import { type FastifyWithMercurius, surroundMercurius } from './surround-mercurius.js';
import type { GraphqlOperations } from './graphql-operations.js';
import { type UpstreamClass, warnOfUnknownClass } from '../upstream-class.js';

type Filter = (this: unknown, ...args: unknown[]) => unknown;

/** What is needed of the driver of a GraphQLModule. */
export interface GraphqlDriver {
  /** Fastify, where the driver is one of Mercurius. */
  readonly instance?: FastifyWithMercurius | undefined;
  start(options: object): Promise<unknown>;
  subscriptionWithFilter(resolver: object, filter: Filter, subscribe: unknown): unknown;
}

/** The token that each GraphQLModule has its options under. */
const MODULE_OPTIONS = 'GqlModuleOptions';

// Seam: nestjs/graphql-driver
const GRAPHQL_DRIVER: UpstreamClass = {
  seam: 'nestjs/graphql-driver',
  of: '@nestjs/graphql',
  className: 'AbstractGraphQLDriver',
  methods: ['start', 'stop', 'mergeDefaultOptions', 'generateSchema', 'subscriptionWithFilter'],
  what: 'GraphQL operations, which share the session of their request',
};

/** Makes every GraphQLModule of the application open a scope for each operation. */
export class GraphqlDrivers implements OnModuleInit {
  constructor(
    private readonly modules: ModulesContainer,
    private readonly operations: GraphqlOperations,
  ) {}

  /** The hook of a global module runs before that of GraphQLModule, which explores the resolvers and starts the driver. */
  onModuleInit(): void {
    const drivers = [...this.#find()];
    if (drivers.length > 0) {
      checkContextId();
    }
    for (const driver of drivers) {
      this.#surround(driver);
      this.#giveFiltersScopes(driver);
    }
  }

  *#find(): Iterable<GraphqlDriver> {
    for (const { providers } of this.modules.values()) {
      const instances = new Set([...providers.values()].map(({ instance }): unknown => instance));
      const drivers = [...instances].filter(isDriver);
      if (drivers.length === 0 && providers.has(MODULE_OPTIONS)) {
        warnOfUnknownClass(GRAPHQL_DRIVER);
      }
      yield* drivers;
    }
  }

  #surround(driver: GraphqlDriver): void {
    const start = driver.start.bind(driver);
    driver.start = isApollo(driver)
      ? (options: ApolloOptions) => start(surroundApollo(options, this.operations))
      : async (options) => {
          await start(options);
          // What a gateway asks other servers for has no resolver here.
          if (!surroundMercurius(driver.instance, options, this.operations) && !('gateway' in options)) {
            // Seam: mercurius/graphql
            warnOfUnknownClass({ ...GRAPHQL_DRIVER, className: driver.constructor.name });
          }
        };
  }

  #giveFiltersScopes(driver: GraphqlDriver): void {
    const subscriptionWithFilter = driver.subscriptionWithFilter.bind(driver);
    const { operations } = this;
    driver.subscriptionWithFilter = (resolver, filter, subscribe) =>
      subscriptionWithFilter(
        resolver,
        function (...args) {
          const scope = operations.open(undefined, () => `subscription filter of ${resolver.constructor.name}`);
          return operations.runIn(scope, async () => filter.apply(this, args));
        },
        subscribe,
      );
  }
}

/** Its class may have any name: bundlers shorten them. */
function isDriver(instance: unknown): instance is GraphqlDriver {
  return (
    typeof instance === 'object' && instance !== null && GRAPHQL_DRIVER.methods.every((method) => method in instance)
  );
}

/** Tells the drivers that run an Apollo Server, in this process and on a schema of its own. */
function isApollo(driver: GraphqlDriver): boolean {
  return 'registerExpress' in driver && 'registerFastify' in driver;
}
