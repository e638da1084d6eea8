import { ConfigurableModuleBuilder, type DynamicModule, Module } from '@nestjs/common';

import { RunWatch } from '../jobs/run/run-watch.js';
import { QueueReaders } from '../nest/queue-readers.js';
import { SessionConnections } from '../nest/session-connections.js';
import { ScopeStorage } from '../session/scope/scope-storage.js';
import { SessionSetupError } from '../session/session-error.js';
import { EventClients } from './http/event-clients.js';
import { InspectorAccess } from './http/inspector-access.js';
import { createInspectorController } from './http/inspector.controller.js';
import {
  assertInspectorOptions,
  assertInspectorPath,
  type SessionInspectorExtras,
  type SessionInspectorOptions,
  type SessionInspectorOptionsFactory,
} from './session-inspector-options.js';
import { Inspector } from './state/inspector.js';

const extras: Required<SessionInspectorExtras> = { path: '/sessions' };

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<SessionInspectorOptions>({ moduleName: 'SessionInspector' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createSessionInspectorOptions' satisfies keyof SessionInspectorOptionsFactory)
    .setExtras(extras, addInspector)
    .build();

/**
 * Serves a page that shows the current sessions, connections, runs and queues of the application. Import it beside
 * `SessionModule.forRoot()`.
 *
 * @example
 * imports: [SessionModule.forRoot(), SessionInspectorModule.forRoot({ authorize: (request) => isAdmin(request) })]
 */
@Module({})
export class SessionInspectorModule extends ConfigurableModuleClass {
  /** Takes the options themselves. */
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    assertInspectorOptions(options);
    return super.forRoot(options);
  }

  /** Takes the options from `useFactory`, `useClass` or `useExisting`; `path` stands beside it. */
  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }
}

function addInspector(definition: DynamicModule, { path }: Required<SessionInspectorExtras>): DynamicModule {
  assertInspectorPath(path);
  return {
    ...definition,
    controllers: [createInspectorController(path)],
    providers: [
      ...(definition.providers ?? []),
      {
        provide: Inspector,
        useFactory: (
          { history = 1_000, actions = false, values = false }: SessionInspectorOptions,
          storage?: ScopeStorage,
          connections?: SessionConnections,
          runs?: RunWatch,
          queues?: QueueReaders,
        ) => {
          if (storage === undefined || connections === undefined || runs === undefined || queues === undefined) {
            throw new SessionSetupError(
              'SessionInspectorModule found no sessions. Add SessionModule.forRoot() to the imports of the application.',
            );
          }
          return new Inspector({ storage, connections, runs, queues, history, actions, values });
        },
        inject: [
          MODULE_OPTIONS_TOKEN,
          ...[ScopeStorage, SessionConnections, RunWatch, QueueReaders].map((token) => ({ token, optional: true })),
        ],
      },
      {
        provide: InspectorAccess,
        useFactory: (options: SessionInspectorOptions) => {
          assertInspectorOptions(options);
          return new InspectorAccess(options.authorize);
        },
        inject: [MODULE_OPTIONS_TOKEN],
      },
      {
        provide: EventClients,
        useFactory: (inspector: Inspector) => new EventClients(inspector),
        inject: [Inspector],
      },
    ],
  };
}
