import type { InjectionToken } from '@nestjs/common';

import { JobService } from '../jobs/job.service.js';
import { SessionContext } from '../session/session-context.js';
import { SessionFactory } from '../session/session-factory.js';
import { SessionSource } from '../session/session-source.js';

/** Gives the injection token of the session of a connection. */
export function getSessionToken(contextName?: string): string {
  return contextName === undefined ? 'MikroSession' : `${contextName}_MikroSession`;
}

/** Gives the injection token of the SessionFactory of a connection: the class itself for the default one. */
export function getSessionFactoryToken(contextName?: string): InjectionToken<SessionFactory> {
  return contextName === undefined ? SessionFactory : `${contextName}_SessionFactory`;
}

/** Gives the injection token of the SessionContext of a connection: the class itself for the default one. */
export function getSessionContextToken(contextName?: string): InjectionToken<SessionContext> {
  return contextName === undefined ? SessionContext : `${contextName}_SessionContext`;
}

/** Gives the injection token of the JobService of a connection: the class itself for the default one. */
export function getJobServiceToken(contextName?: string): InjectionToken<JobService> {
  return contextName === undefined ? JobService : `${contextName}_JobService`;
}

/** Gives the injection token of what makes the sessions of a connection, for the decorators of this package. */
export function getSessionSourceToken(contextName?: string): InjectionToken<SessionSource> {
  return contextName === undefined ? SessionSource : `${contextName}_SessionSource`;
}
