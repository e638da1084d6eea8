import { inspect } from 'node:util';

import { MikroORM } from '@mikro-orm/core';
import { getMikroORMToken } from '@mikro-orm/nestjs';
import { type InjectionToken, Logger, type Provider, Scope } from '@nestjs/common';
import { ModuleRef, ModulesContainer } from '@nestjs/core';

import { JobService } from './jobs/job.service.js';
import { RunWatch } from './jobs/run/run-watch.js';
import { createThreads } from './jobs/threads/job-threads.js';
import { limitToShare } from './jobs/threads/limit-to-share.js';
import { readThreadEnvironment } from './jobs/threads/thread-environment.js';
import { assertOneCopy } from './nest/assert-one-copy.js';
import { assertProvidedOptions } from './nest/assert-module-options.js';
import { SessionConnections } from './nest/session-connections.js';
import type { SessionModuleExtras, SessionModuleOptions } from './nest/session-module-options.js';
import {
  getJobServiceToken,
  getSessionContextToken,
  getSessionFactoryToken,
  getSessionSourceToken,
  getSessionToken,
} from './nest/get-session-token.js';
import { isObject } from './session/assert-options.js';
import { ScopeStorage } from './session/scope/scope-storage.js';
import { SessionContext } from './session/session-context.js';
import { SessionSetupError } from './session/session-error.js';
import { SessionFactory } from './session/session-factory.js';
import { SessionSource } from './session/session-source.js';
import { TaskScopes } from './session/scope/task-scopes.js';

type ChosenExtras = Required<SessionModuleExtras>;

interface SessionProviders {
  readonly providers: Provider[];
  readonly exports: InjectionToken[];
}

/** Lists what SessionModule provides for one connection. */
export function createSessionProviders(extras: ChosenExtras, optionsToken: InjectionToken): SessionProviders {
  const { contextName, injection } = extras;
  const sourceToken = getSessionSourceToken(contextName);
  const sourceName = typeof sourceToken === 'string' ? sourceToken : undefined;
  const ormToken = contextName === undefined ? MikroORM : getMikroORMToken(contextName);
  const provided: Provider[] = [
    {
      provide: getSessionFactoryToken(contextName),
      useFactory: (source: SessionSource) => new SessionFactory(source),
      inject: [sourceToken],
    },
    {
      provide: getSessionContextToken(contextName),
      useFactory: (source: SessionSource) => new SessionContext(source),
      inject: [sourceToken],
    },
    {
      provide: getJobServiceToken(contextName),
      useFactory: (source: SessionSource, moduleRef: ModuleRef, options: SessionModuleOptions, watch: RunWatch) =>
        new JobService({
          source,
          moduleRef,
          threads: createThreads(options.threads, { orm: source.orm, sourceToken: sourceName }),
          defaults: options.jobs,
          watch,
        }),
      inject: [sourceToken, ModuleRef, optionsToken, RunWatch],
    },
    createSessionProvider(extras, sourceToken),
  ];
  return {
    providers: [
      {
        provide: sourceToken,
        useFactory: async (
          options: SessionModuleOptions,
          storage: ScopeStorage,
          connections: SessionConnections,
          tasks: TaskScopes,
          modules: ModulesContainer,
          orm?: MikroORM,
        ) => {
          assertUsable(options);
          assertOneCopy(orm, modules);
          if (orm === undefined) {
            throw new SessionSetupError(missingOrm(contextName));
          }
          if (injection === 'request') {
            connections.requestScoped.add(getSessionToken(contextName));
          }
          await limitToShare(orm, sourceName);
          const source = await SessionSource.create(orm, storage, options);
          // The application has logged this already: a worker thread would repeat it.
          if (source.notice !== undefined && readThreadEnvironment() === undefined) {
            new Logger('Session').warn(source.notice);
          }
          connections.add(source, options);
          tasks.add(source.contextual);
          return source;
        },
        inject: [
          optionsToken,
          ScopeStorage,
          SessionConnections,
          TaskScopes,
          ModulesContainer,
          { token: ormToken, optional: true },
        ],
      },
      ...provided,
    ],
    exports: [sourceToken, ...provided.map((provider) => (provider as { readonly provide: InjectionToken }).provide)],
  };
}

function createSessionProvider({ contextName, injection }: ChosenExtras, sourceToken: InjectionToken): Provider {
  const provide = getSessionToken(contextName);
  switch (injection) {
    case 'contextual':
      return { provide, useFactory: (source: SessionSource) => source.contextual, inject: [sourceToken] };
    case 'request':
      return {
        provide,
        scope: Scope.REQUEST,
        useFactory: (source: SessionSource) => source.current,
        inject: [sourceToken],
      };
    default:
      throw new TypeError(`Expected \`injection\` to be 'request' or 'contextual', got \`${inspect(injection)}\`.`);
  }
}

function assertUsable(options: SessionModuleOptions): void {
  const given: unknown = options;
  const extra = ['contextName', 'isGlobal', 'injection'].find((name) => isObject(given) && name in given);
  if (extra !== undefined) {
    throw new TypeError(
      `The option \`${extra}\` decides which providers there are. Give it to forRootAsync() itself, beside \`useFactory\`.`,
    );
  }
  assertProvidedOptions(options);
}

function missingOrm(contextName: string | undefined): string {
  return contextName === undefined
    ? 'SessionModule.forRoot() found no MikroORM. Add MikroOrmModule.forRoot({ ... }) to the imports of the application.'
    : `SessionModule found no MikroORM for the connection "${contextName}". ` +
        `Add MikroOrmModule.forRoot({ contextName: '${contextName}', ... }) to the imports of the application.`;
}
