import { Global, Module } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';

import { HttpScopes } from './nest/http-scopes.js';
import { SessionRegistry } from './session/session-registry.js';
import { ScopeStorage } from './session/scope-storage.js';
import { TaskScopes } from './session/task-scopes.js';
import { SessionTelemetry } from './telemetry/session-telemetry.js';
import { SessionConnections } from './nest/session-connections.js';

/** What all connections of one application share: the current scope, and who opens it for HTTP. */
@Global()
@Module({
  providers: [
    ScopeStorage,
    SessionConnections,
    { provide: TaskScopes, useFactory: (storage: ScopeStorage) => new TaskScopes(storage), inject: [ScopeStorage] },
    {
      provide: SessionRegistry,
      useFactory: (storage: ScopeStorage) => new SessionRegistry(storage),
      inject: [ScopeStorage],
    },
    {
      provide: SessionTelemetry,
      useFactory: (storage: ScopeStorage) => SessionTelemetry.start(storage),
      inject: [ScopeStorage],
    },
    {
      provide: HttpScopes,
      useFactory: (host: HttpAdapterHost, storage: ScopeStorage, connections: SessionConnections) =>
        new HttpScopes(host, storage, connections),
      inject: [HttpAdapterHost, ScopeStorage, SessionConnections],
    },
  ],
  exports: [ScopeStorage, SessionConnections, SessionRegistry, TaskScopes],
})
export class SessionCoreModule {}
