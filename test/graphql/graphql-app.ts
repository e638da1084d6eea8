import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { GraphQLModule } from '@nestjs/graphql';
import { MercuriusDriver, type MercuriusDriverConfig } from '@nestjs/mercurius';
import { type Client, createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

import { startTestApp, type TestApp, type TestAppOptions } from '../support/test-app.js';

export const drivers = ['apollo', 'mercurius'] as const;

type Driver = (typeof drivers)[number];

export interface Answer<Data> {
  readonly data: Data;
  readonly errors?: readonly { readonly message: string }[];
}

export interface GraphqlApp extends TestApp {
  /** Sends one operation. */
  send<Data>(query: string, operationName?: string): Promise<Answer<Data>>;
  /** Sends several operations in one HTTP request. */
  sendBatch<Data>(queries: readonly string[]): Promise<Answer<Data>[]>;
  /** Opens WebSockets, as they are needed. The test disposes of it. */
  connect(): Client;
}

interface DriverOptions {
  readonly driver: Driver;
  readonly apollo?: Partial<ApolloDriverConfig> | undefined;
  readonly mercurius?: Partial<MercuriusDriverConfig> | undefined;
}

const common = { autoSchemaFile: true, path: '/graphql', graphiql: false, fieldResolverEnhancers: ['guards'] } as const;

function graphqlModule({ driver, apollo, mercurius }: DriverOptions): ReturnType<typeof GraphQLModule.forRoot> {
  return driver === 'apollo'
    ? GraphQLModule.forRoot<ApolloDriverConfig>({
        ...common,
        driver: ApolloDriver,
        fieldResolverEnhancers: [...common.fieldResolverEnhancers],
        allowBatchedHttpRequests: true,
        subscriptions: { 'graphql-ws': true },
        ...apollo,
      })
    : GraphQLModule.forRoot<MercuriusDriverConfig>({
        ...common,
        driver: MercuriusDriver,
        fieldResolverEnhancers: [...common.fieldResolverEnhancers],
        allowBatchedQueries: true,
        subscription: { fullWsTransport: true },
        ...mercurius,
      });
}

/** Starts an application with GraphQL: Apollo over Express, if not said otherwise, and Mercurius over Fastify. */
export async function startGraphqlApp({
  driver,
  apollo,
  mercurius,
  platform = driver === 'apollo' ? 'express' : 'fastify',
  ...options
}: DriverOptions & TestAppOptions): Promise<GraphqlApp> {
  const app = await startTestApp({
    ...options,
    platform,
    imports: [graphqlModule({ driver, apollo, mercurius }), ...(options.imports ?? [])],
  });
  const post = async (body: unknown, init?: RequestInit): Promise<unknown> => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
      ...init,
    });
    return response.json();
  };
  return {
    ...app,
    send: async <Data>(query: string, operationName?: string) => (await post({ query, operationName })) as Answer<Data>,
    sendBatch: async <Data>(queries: readonly string[]) =>
      (await post(queries.map((query) => ({ query })))) as Answer<Data>[],
    connect: () =>
      createClient({
        url: `${app.url.replace('http', 'ws')}/graphql`,
        webSocketImpl: WebSocket,
        retryAttempts: 0,
      }),
  };
}
