import { Global, Module } from '@nestjs/common';
import { HttpAdapterHost, ModulesContainer } from '@nestjs/core';

import { RunWatch } from './jobs/run/run-watch.js';
import { QueueReaders } from './nest/queue-readers.js';
import { DurableProviders } from './nest/durable-providers.js';
import { GraphqlDrivers } from './nest/graphql/graphql-drivers.js';
import { GraphqlOperations } from './nest/graphql/graphql-operations.js';
import { GatewayScopes } from './nest/messages/gateway-scopes.js';
import { HttpScopes } from './nest/http/http-scopes.js';
import { LostHooks } from './nest/lost-hooks.js';
import { MessageScopes } from './nest/messages/message-scopes.js';
import { RpcScopes } from './nest/messages/rpc-scopes.js';
import { ScopedGateways } from './nest/messages/scoped-gateways.js';
import { SessionHealthIndicator } from './nest/session-health-indicator.js';
import { TaskHooksModule } from './nest/tasks/task-hooks.module.js';
import { SessionRegistry } from './session/session-registry.js';
import { ScopeStorage } from './session/scope/scope-storage.js';
import { TaskScopes } from './session/scope/task-scopes.js';
import { SessionTelemetry } from './telemetry/session-telemetry.js';
import { SessionConnections } from './nest/session-connections.js';

/**
 * Provides what all connections of one application share: the storage of the current scope, and the providers that open
 * scopes for requests and messages.
 */
@Global()
@Module({
  imports: [TaskHooksModule],
  providers: [
    ScopeStorage,
    SessionConnections,
    RunWatch,
    QueueReaders,
    { provide: TaskScopes, useFactory: (storage: ScopeStorage) => new TaskScopes(storage), inject: [ScopeStorage] },
    {
      provide: SessionRegistry,
      useFactory: (storage: ScopeStorage) => new SessionRegistry(storage),
      inject: [ScopeStorage],
    },
    {
      provide: SessionHealthIndicator,
      useFactory: (connections: SessionConnections) => new SessionHealthIndicator(connections),
      inject: [SessionConnections],
    },
    {
      provide: SessionTelemetry,
      useFactory: (storage: ScopeStorage, connections: SessionConnections) =>
        SessionTelemetry.start(storage, () => connections.sources),
      inject: [ScopeStorage, SessionConnections],
    },
    {
      provide: HttpScopes,
      useFactory: (host: HttpAdapterHost, storage: ScopeStorage, connections: SessionConnections) =>
        new HttpScopes(host, storage, connections),
      inject: [HttpAdapterHost, ScopeStorage, SessionConnections],
    },
    {
      provide: GraphqlDrivers,
      useFactory: (modules: ModulesContainer, storage: ScopeStorage, tasks: TaskScopes) =>
        new GraphqlDrivers(modules, new GraphqlOperations(storage, tasks)),
      inject: [ModulesContainer, ScopeStorage, TaskScopes],
    },
    {
      provide: LostHooks,
      useFactory: (modules: ModulesContainer, connections: SessionConnections) => new LostHooks(modules, connections),
      inject: [ModulesContainer, SessionConnections],
    },
    {
      provide: DurableProviders,
      useFactory: (modules: ModulesContainer, connections: SessionConnections) =>
        new DurableProviders(modules, connections),
      inject: [ModulesContainer, SessionConnections],
    },
    {
      provide: MessageScopes,
      useFactory: (tasks: TaskScopes, storage: ScopeStorage) => new MessageScopes(tasks, storage),
      inject: [TaskScopes, ScopeStorage],
    },
    {
      provide: RpcScopes,
      useFactory: (modules: ModulesContainer, messages: MessageScopes) => new RpcScopes(modules, messages),
      inject: [ModulesContainer, MessageScopes],
    },
    {
      provide: GatewayScopes,
      useFactory: (modules: ModulesContainer, messages: MessageScopes, connections: SessionConnections) =>
        new GatewayScopes(messages, new ScopedGateways(modules, connections)).install(modules),
      inject: [ModulesContainer, MessageScopes, SessionConnections],
    },
  ],
  exports: [
    ScopeStorage,
    SessionConnections,
    RunWatch,
    QueueReaders,
    SessionHealthIndicator,
    SessionRegistry,
    TaskScopes,
  ],
})
export class SessionCoreModule {}
