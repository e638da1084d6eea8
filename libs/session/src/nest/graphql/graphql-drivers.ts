import type { OnModuleInit } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';

import { checkContextId } from '../request-context-id.js';
import { type ApolloOptions, surroundApollo } from './surround-apollo.js';
import { type FastifyWithMercurius, surroundMercurius } from './surround-mercurius.js';
import type { GraphqlOperations } from './graphql-operations.js';
import { type UpstreamClass, warnOfUnknownClass } from '../upstream-class.js';

type Filter = (this: unknown, ...args: unknown[]) => unknown;

/** The members of the driver of a GraphQLModule that are used here. */
export interface GraphqlDriver {
  /** The Fastify instance of a driver for Mercurius. */
  readonly instance?: FastifyWithMercurius | undefined;
  start(options: object): Promise<unknown>;
  subscriptionWithFilter(resolver: object, filter: Filter, subscribe: unknown): unknown;
}

/** The token under which each GraphQLModule provides its options. */
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

  /**
   * This hook of a global module runs before the hook of GraphQLModule, which explores the resolvers and starts the
   * driver.
   */
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
          // A gateway asks other servers for its fields, and has no resolvers here.
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

/** Checks members, not the name of the class: bundlers shorten names. */
function isDriver(instance: unknown): instance is GraphqlDriver {
  return (
    typeof instance === 'object' && instance !== null && GRAPHQL_DRIVER.methods.every((method) => method in instance)
  );
}

/** Whether a driver runs an Apollo Server in this process, on a schema of its own. */
function isApollo(driver: GraphqlDriver): boolean {
  return 'registerExpress' in driver && 'registerFastify' in driver;
}
