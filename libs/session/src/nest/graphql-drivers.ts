import type { OnModuleInit } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';

import { type ApolloOptions, withOperations } from './graphql-apollo.js';
import { type FastifyWithMercurius, surroundMercurius } from './graphql-mercurius.js';
import type { GraphqlOperations } from './graphql-operations.js';

type Filter = (this: unknown, ...args: unknown[]) => unknown;

/** What is needed of the driver of a GraphQLModule. */
export interface GraphqlDriver {
  /** Fastify, where the driver is one of Mercurius. */
  readonly instance?: FastifyWithMercurius | undefined;
  start(options: object): Promise<unknown>;
  subscriptionWithFilter(resolver: object, filter: Filter, subscribe: unknown): unknown;
}

/** Makes every GraphQLModule of the application open a scope for each operation. */
export class GraphqlDrivers implements OnModuleInit {
  constructor(
    private readonly modules: ModulesContainer,
    private readonly operations: GraphqlOperations,
  ) {}

  /** The hook of a global module runs before that of GraphQLModule, which explores the resolvers and starts the driver. */
  onModuleInit(): void {
    for (const driver of this.#find()) {
      this.#surround(driver);
      this.#giveFiltersScopes(driver);
    }
  }

  *#find(): Iterable<GraphqlDriver> {
    for (const { providers } of this.modules.values()) {
      for (const [token, { instance }] of providers) {
        if (typeof token === 'function' && token.name === 'AbstractGraphQLDriver') {
          yield instance as GraphqlDriver;
        }
      }
    }
  }

  #surround(driver: GraphqlDriver): void {
    const start = driver.start.bind(driver);
    driver.start = isApollo(driver)
      ? (options: ApolloOptions) => start(withOperations(options, this.operations))
      : async (options) => {
          await start(options);
          surroundMercurius(driver.instance, options, this.operations);
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

/** Tells the drivers that run an Apollo Server, in this process and on a schema of its own. */
function isApollo(driver: GraphqlDriver): boolean {
  return 'registerExpress' in driver && 'registerFastify' in driver;
}
